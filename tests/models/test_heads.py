"""Every stock head of mmseg works behind every backbone, with or without linked queries."""

import pytest
import torch
from conftest import build, tiny_model_config
from tiny_rein import batch

COMMON = dict(channels=16, num_classes=4, norm_cfg=dict(type="BN"))
MULTI = dict(in_channels=[32] * 4, in_index=[0, 1, 2, 3], **COMMON)
HEADS = {
    "FCNHead": dict(in_channels=32, in_index=3, num_convs=1, **COMMON),
    "FCNHead, concatenated": dict(
        type="FCNHead", num_convs=1, kernel_size=1, input_transform="resize_concat", **MULTI),
    "ASPPHead": dict(in_channels=32, in_index=3, **COMMON),
    "PSPHead": dict(in_channels=32, in_index=3, **COMMON),
    "UPerHead": dict(pool_scales=(1, 2), **MULTI),
    "SegformerHead": dict(**MULTI),
    "FPNHead": dict(feature_strides=[4, 8, 16, 32], **MULTI),
    "Mask2FormerHead": None,
}


@pytest.mark.parametrize("linked", [True, False])
@pytest.mark.parametrize("name", HEADS)
def test_stock_head_trains_and_predicts(name, linked):
    cfg = tiny_model_config()
    cfg.backbone.reins_config.link_token_to_query = linked
    if HEADS[name] is None:
        cfg.decode_head.type = "Mask2FormerHead"
        for key in ("linked_queries", "replace_query_feat"):
            cfg.decode_head.pop(key)
    else:
        cfg.decode_head = {"type": name, **HEADS[name]}
    model = build(cfg).train()
    inputs, samples = batch()
    losses = model(inputs, samples, mode="loss")
    sum(value for key, value in losses.items() if "loss" in key).backward()
    used = [p.grad is not None for n, p in model.backbone.reins.named_parameters()
            if not n.startswith(("transform", "merge"))]
    assert all(used)
    with torch.no_grad():
        result = model.eval()(inputs, samples, mode="predict")
    assert result[0].pred_sem_seg.data.shape == (1, 64, 64)
