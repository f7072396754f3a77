"""Rein, DINOv2-L, GTA V -> Cityscapes, BDD100K, Mapillary at 1024x1024.

40k iterations, batch 2 on each of 4 GPUs. Convert the pretrained weights first, with
tools/convert_models/convert_dinov2_large_1024x1024.py.

    bash tools/dist_train.sh configs/dinov2/rein_dinov2_mask2former_1024x1024_bs4x2.py 4
"""

_base_ = [
    "../_base_/default_runtime.py",
    "../_base_/models/rein_dinov2_mask2former_1024x1024.py",
    "../_base_/datasets/dg_gta_1024x1024.py",
    "../_base_/schedules/schedule_40k_1024x1024.py",
]
