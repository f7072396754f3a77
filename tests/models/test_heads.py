"""Every stock head of mmseg works behind every backbone, with or without linked queries."""

import pytest
import torch
from conftest import build, tiny_model_config
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from tiny_rein import batch

from rein.models.decode_heads.mask_losses import Decoded

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


def test_queries_bypass_a_neck():
    cfg = tiny_model_config()
    cfg.neck = dict(
        type="MultiLevelNeck", in_channels=[32] * 4, out_channels=32, scales=[1, 1, 1, 1])
    model = build(cfg).eval()
    feats = model.extract_feat(torch.randn(1, 3, 64, 64))
    assert feats.queries.shape == (8, 16) and feats.image_size == (64, 64)


def test_masks_do_not_shift_where_the_backbone_pads():
    """Patch 14 pads 64 to 70 pixels: target masks cover all 70, results only the image."""
    cfg = tiny_model_config()
    cfg.backbone.update(img_size=70, patch_size=14)
    model = build(cfg)
    feats = model.extract_feat(torch.randn(1, 3, 64, 64))
    label = torch.zeros(1, 64, 64, dtype=torch.long)
    label[:, :, 32:] = 1
    sample = SegDataSample(gt_sem_seg=PixelData(data=label))
    instances, _ = model.decode_head._seg_data_to_instance_data([sample])
    model.decode_head._seg_data_to_instance_data = lambda samples: (instances, [{}])
    model.decode_head.loss(feats, [sample])
    masks = instances[0].masks
    assert masks.shape == (2, 70, 70)
    assert not masks[:, 64:].any() and not masks[:, :, 64:].any() and masks[1, :64, 32:64].all()

    features = torch.full((1, 1, 17, 17), -1.0)
    features[..., 8:] = 1  # the edge is 8/17 of 70 pixels from the left
    decoded = Decoded(torch.zeros(1, 1, 1, 20), torch.full((1, 1, 1, 1), 8.0), features)
    scores = model.decode_head._class_scores(decoded, (70, 70), dict(img_shape=(64, 64)))
    assert scores.shape == (1, 19, 64, 64)
    row = scores[0, 0, 0]
    assert int((row < row.max() / 2).sum()) == round(8 / 17 * 70)
