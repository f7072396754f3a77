"""Rein, DINOv2-L, Cityscapes -> Cityscapes-C (16 corruptions, 5 severities) at 512x512.

Tests 40,000 images; most take 0.3 to 4 s to corrupt.

    python tools/train.py configs/dinov2_citys/rein_dinov2_mask2former_citysc_512x512_bs1x4.py
"""

_base_ = [
    "../_base_/default_runtime.py",
    "../_base_/models/rein_dinov2_mask2former.py",
    "../_base_/datasets/dg_citys2citysc_512x512.py",
    "../_base_/schedules/schedule_40k.py",
]
