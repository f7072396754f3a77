"""Frozen CLIP ViT-L with a Mask2Former head and no adapter: the baseline for Rein.

The pyramid is Rein's, without the trained `MultiLevelNeck` of published CLIP configs.

    python tools/train.py configs/clip/frozen_clip-L_mask2former_512x512_bs1x4.py
"""

_base_ = "./rein_clip-L_mask2former_512x512_bs1x4.py"
model = dict(
    backbone=dict(reins_config=None),
    decode_head=dict(linked_queries=False, replace_query_feat=False),
)
