"""Frozen ResNet-101 with a Mask2Former head and no adapter: the baseline for Rein.

    python tools/train.py configs/resnet/frozen_resnet101_mask2former_512x512_bs1x4.py
"""

_base_ = "./rein_resnet101_mask2former_512x512_bs1x4.py"
model = dict(
    backbone=dict(reins_config=None),
    decode_head=dict(linked_queries=False, replace_query_feat=False),
)
