"""LoRA on the frozen toy foundation model; toy streets.

    python tools/train.py configs/toy/lora_toy_vit_mask2former_256x256.py
"""

_base_ = [
    "../_base_/default_runtime.py",
    "../_base_/models/toy_vit_mask2former.py",
    "../_base_/datasets/dg_toy_256x256.py",
    "../_base_/schedules/schedule_toy.py",
]
model = dict(backbone=dict(
    type="ReinsDinoVisionTransformer",
    reins_config=dict(type="LoRA", rank=8, targets=("q", "v")),
))
