"""The frozen backbone in int8: what it changes and what it leaves alone."""

import pytest
import torch
from conftest import ROOT, build
from torch import nn

from rein.checkpoint import load_backbone
from rein.engine.config import load_config
from rein.engine.weights import fit_backbone
from rein.errors import UserError
from rein.models.int8 import Int8Linear, quantize_frozen

TOY = "configs/toy/rein_toy_vit_mask2former_256x256.py"


@pytest.fixture(scope="module")
def toy():
    """The toy model: a backbone that was pretrained, an adapter and a head that were not."""
    torch.manual_seed(0)
    model = build(load_config(TOY).model)
    nn.init.normal_(model.decode_head.cls_embed.weight)  # predicts several classes
    path = ROOT / "checkpoints/toy_vit_pretrain.pth"
    model.backbone.load_pretrained(fit_backbone(load_backbone(path), model.backbone), str(path))
    return model.eval()


def test_a_token_of_huge_norm_leaves_the_others_exact():
    linear = nn.Linear(64, 32)
    x = torch.randn(2, 9, 64)
    x[:, 3] *= 1000
    x[:, 4] = 0
    with torch.no_grad():
        found, expected = Int8Linear(linear)(x), linear(x)
    error = (found - expected).norm(dim=-1) / expected.norm(dim=-1)
    assert error.max() < 0.02


def test_int8_gives_nearly_the_same_features_and_keeps_what_was_trained(toy):
    image = torch.nn.functional.interpolate(
        torch.randn(1, 3, 16, 32, generator=torch.Generator().manual_seed(0)), (256, 512),
        mode="bicubic")
    trained = {name for name, p in toy.named_parameters() if p.requires_grad}
    with torch.no_grad():
        expected = _classes_of_features(toy, image)
        quantize_frozen(toy)
        found = _classes_of_features(toy, image)
    assert len(expected.unique()) > 10  # else any answer would do
    assert (found == expected).float().mean() > 0.99
    assert sum(isinstance(m, Int8Linear) for m in toy.modules()) == 4 * 8  # of each block
    assert trained <= {name for name, _ in toy.named_parameters()}


def _classes_of_features(model, image):
    """Classes of deep features by 19 random directions, which none of them is far from."""
    feats = model.backbone(image)[2].flatten(2)[0]
    feats = torch.nn.functional.layer_norm(feats, feats.shape[-1:])
    directions = torch.randn(19, len(feats), generator=torch.Generator().manual_seed(0))
    return (directions @ feats).argmax(0)


def test_int8_is_refused_where_it_does_not_apply(tiny_config):
    with torch.device("meta"), pytest.raises(UserError, match="for CPUs.*on meta"):
        quantize_frozen(build(tiny_config))
    tiny_config.backbone.type = "DinoVisionTransformer"
    tiny_config.backbone.pop("reins_config")
    tiny_config.decode_head.update(linked_queries=False, replace_query_feat=False)
    with pytest.raises(UserError, match="no frozen"):
        quantize_frozen(build(tiny_config))
