"""LoRA on the frozen toy foundation model; toy streets.

    python tools/train.py configs/toy/lora_toy_vit_mask2former_256x256.py
"""

_base_ = "../_base_/adapted_toy_vit_256x256.py"
model = dict(backbone=dict(reins_config=dict(type="LoRA", rank=8, targets=("q", "v"))))
