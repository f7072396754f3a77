"""Rein, DINOv2-L, Cityscapes -> ACDC (night, fog, rain, snow) at 512x512.

    python tools/train.py configs/dinov2_citys2acdc/rein_dinov2_mask2former_512x512_bs1x4.py
"""

_base_ = [
    "../_base_/default_runtime.py",
    "../_base_/models/rein_dinov2_mask2former.py",
    "../_base_/datasets/dg_citys2acdc_512x512.py",
    "../_base_/schedules/schedule_40k.py",
]
