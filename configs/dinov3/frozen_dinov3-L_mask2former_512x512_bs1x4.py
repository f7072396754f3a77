"""Frozen DINOv3 ViT-L with a Mask2Former head and no adapter: the baseline for Rein.

    python tools/train.py configs/dinov3/frozen_dinov3-L_mask2former_512x512_bs1x4.py
"""

_base_ = "./rein_dinov3-L_mask2former_512x512_bs1x4.py"
model = dict(
    backbone=dict(reins_config=None),
    decode_head=dict(linked_queries=False, replace_query_feat=False),
)
