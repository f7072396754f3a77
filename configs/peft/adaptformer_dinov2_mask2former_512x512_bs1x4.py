"""AdaptFormer of width 64, DINOv2-L, GTA V -> Cityscapes, BDD100K, Mapillary at 512x512.

Trains 3,171,840 parameters of the backbone. Published by Rein (arXiv:2312.04265, table 3):
64.9 / 59.0 / 64.2 mIoU; not yet checked against the paper; verify before citing.

    python tools/train.py configs/peft/adaptformer_dinov2_mask2former_512x512_bs1x4.py
"""

_base_ = "../_base_/adapted_dinov2_512x512.py"
model = dict(backbone=dict(reins_config=dict(type="AdaptFormer", hidden_dims=64)))
