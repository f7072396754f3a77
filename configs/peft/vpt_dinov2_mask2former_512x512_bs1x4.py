"""VPT, 150 prompts for each block, DINOv2-L, GTA V -> Cityscapes, BDD100K, Mapillary at 512x512.

Trains 3,686,400 parameters of the backbone. Published by Rein (arXiv:2312.04265, table 3):
65.2 / 59.4 / 65.5 mIoU; not yet checked against the paper; verify before citing.

    python tools/train.py configs/peft/vpt_dinov2_mask2former_512x512_bs1x4.py
"""

_base_ = "../_base_/adapted_dinov2_512x512.py"
model = dict(backbone=dict(reins_config=dict(type="VPT", num_tokens=150, deep=True)))
# no weight decay on prompts, as on Rein's tokens
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={"prompts": dict(decay_mult=0.0)}))
