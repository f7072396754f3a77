"""NormTuning, the layer norms of all blocks, DINOv2-L, GTA V -> three targets at 512x512.

    python tools/train.py configs/peft/norm_tuning_dinov2_mask2former_512x512_bs1x4.py
"""

_base_ = [
    "../_base_/default_runtime.py",
    "../_base_/models/dinov2_mask2former.py",
    "../_base_/datasets/dg_gta_512x512.py",
    "../_base_/schedules/schedule_40k.py",
]
model = dict(
    backbone=dict(
        type="ReinsDinoVisionTransformer",
        reins_config=dict(type="NormTuning"),
    ),
)
