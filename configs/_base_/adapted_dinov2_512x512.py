"""DINOv2-L with any adapter and a Mask2Former head, GTA V at 512x512; configs add reins_config."""

_base_ = [
    "./default_runtime.py",
    "./models/dinov2_mask2former.py",
    "./datasets/dg_gta_512x512.py",
    "./schedules/schedule_40k.py",
]
model = dict(backbone=dict(type="ReinsDinoVisionTransformer"))
