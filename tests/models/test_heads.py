"""Our and mmseg's heads train, predict and save behind a backbone, with or without queries."""

import copy

import pytest
import torch
from conftest import build, tiny_model_config
from tiny_rein import batch

from rein import checkpoint as ckpt
from rein.models.freezing import trained_state_dict

COMMON = dict(channels=16, num_classes=4, norm_cfg=dict(type="BN"))
MULTI = dict(in_channels=[32] * 4, in_index=[0, 1, 2, 3], **COMMON)
LINEAR = dict(type="FCNHead", num_convs=0, concat_input=False, dropout_ratio=0)
HEADS = {
    "linear": dict(in_channels=32, in_index=2, **COMMON | dict(channels=32), **LINEAR),
    "linear, concatenated": dict(
        input_transform="resize_concat", **MULTI | dict(channels=4 * 32), **LINEAR),
    "FCNHead": dict(in_channels=32, in_index=3, num_convs=1, **COMMON),
    "FCNHead, concatenated": dict(
        type="FCNHead", num_convs=1, kernel_size=1, input_transform="resize_concat", **MULTI),
    "ASPPHead": dict(in_channels=32, in_index=3, **COMMON),
    "PSPHead": dict(in_channels=32, in_index=3, **COMMON),
    "UPerHead": dict(pool_scales=(1, 2), **MULTI),
    "SegformerHead": dict(**MULTI),
    "FPNHead": dict(feature_strides=[4, 8, 16, 32], **MULTI),
    "Mask2FormerHead": None,
    "ReinMask2FormerHead": None,
}


@pytest.mark.parametrize("linked", [True, False])
@pytest.mark.parametrize("name", HEADS)
def test_a_head_trains_predicts_and_exports_its_state(name, linked):
    cfg = tiny_model_config()
    cfg.backbone.reins_config.link_token_to_query = linked
    if name == "ReinMask2FormerHead":
        cfg.decode_head.update(linked_queries=linked, replace_query_feat=linked)
    elif HEADS[name] is None:
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
    parts = ckpt.split(model.state_dict())
    assert parts.rein_and_head.keys() == trained_state_dict(model).keys()
    again = build(cfg)
    again.load_state_dict(ckpt.merge(*parts))
    with torch.no_grad():
        one, other = (m.eval()(inputs, copy.deepcopy(samples), mode="predict")[0]
                      for m in (model, again))
    assert one.pred_sem_seg.data.shape == (1, 64, 64)
    assert torch.equal(one.seg_logits.data, other.seg_logits.data)
