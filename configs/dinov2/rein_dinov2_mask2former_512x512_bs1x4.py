"""Rein, DINOv2-L, GTA V -> Cityscapes, BDD100K, Mapillary at 512x512.

Published: 66.4 / 60.4 / 66.1 mIoU (protocol `rein`). 40k iterations, batch 4 on one GPU.

    python tools/train.py configs/dinov2/rein_dinov2_mask2former_512x512_bs1x4.py
"""

_base_ = [
    "../_base_/default_runtime.py",
    "../_base_/models/rein_dinov2_mask2former.py",
    "../_base_/datasets/dg_gta_512x512.py",
    "../_base_/schedules/schedule_40k.py",
]
