"""Frozen DINOv2-L with a Mask2Former head and no adapter: the baseline for Rein.

    python tools/train.py configs/frozen_vfms/dinov2-L_mask2former.py
"""

_base_ = [
    "../_base_/default_runtime.py",
    "../_base_/models/dinov2_mask2former.py",
    "../_base_/datasets/dg_gta_512x512.py",
    "../_base_/schedules/schedule_40k.py",
]
model = dict(type="FrozenBackboneEncoderDecoder")
