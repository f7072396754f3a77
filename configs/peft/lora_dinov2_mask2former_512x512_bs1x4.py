"""LoRA of rank 8 on queries and values, DINOv2-L, GTA V -> three targets at 512x512.

Trains 786,432 parameters of the backbone. Published by Rein (arXiv:2312.04265, table 3):
65.2 / 58.3 / 64.6 mIoU; not yet checked against the paper; verify before citing.

    python tools/train.py configs/peft/lora_dinov2_mask2former_512x512_bs1x4.py
"""

_base_ = "../_base_/adapted_dinov2_512x512.py"
model = dict(backbone=dict(reins_config=dict(type="LoRA", rank=8, targets=("q", "v"))))
