"""Rein, DINOv2-L, Cityscapes -> ACDC (night, fog, rain, snow) at 1024x1024.

40k iterations, batch 2 on each of 4 GPUs.

    bash tools/dist_train.sh configs/dinov2_citys2acdc/rein_dinov2_mask2former_1024x1024_bs4x2.py 4
"""

_base_ = [
    "../_base_/default_runtime.py",
    "../_base_/models/rein_dinov2_mask2former_1024x1024.py",
    "../_base_/datasets/dg_citys2acdc_1024x1024.py",
    "../_base_/schedules/schedule_40k_1024x1024.py",
]
