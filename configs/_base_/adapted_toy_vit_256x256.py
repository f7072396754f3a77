"""The toy foundation model with any adapter, toy streets; configs add reins_config."""

_base_ = [
    "./default_runtime.py",
    "./models/toy_vit_mask2former.py",
    "./datasets/dg_toy_256x256.py",
    "./schedules/schedule_toy.py",
]
model = dict(backbone=dict(type="ReinsDinoVisionTransformer"))
