"""Every family of networks, plain or staged, is a frozen backbone with an adapter."""

import pytest
import torch
from tiny_networks import NETWORKS, STAGED, tiny_network

from rein.models.freezing import trained_state_dict

SIZES = (64, 96), (70, 33)


def padded(backbone, size):
    return [-(-side // part) * part for side, part in zip(size, backbone.multiple, strict=True)]


def adapters(backbone):
    return backbone.reins.children() if backbone.is_staged else [backbone.reins]


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_is_a_frozen_backbone_with_an_adapter(name):
    backbone = tiny_network(name, with_cp=True).train()
    plain = tiny_network(name, reins_config=None, init_cfg=None).eval()
    state = backbone.state_dict()
    own = {key: value for key, value in state.items() if not key.startswith("reins.")}
    plain.load_state_dict(own, strict=True)
    # names, saved keys
    assert not any(word in key for key in own for word in ("head", "classifier", "pool", "neck"))
    assert trained_state_dict(backbone).keys() == state.keys() - own.keys()
    # any size
    for size in SIZES:
        height, width = padded(backbone, size)
        with torch.no_grad():
            feats = backbone(torch.randn(1, 3, *size))
        assert feats.image_size == (height, width) and feats.queries.shape == (6, 8)
        for feat, stride in zip(feats, (4, 8, 16, 32), strict=True):
            assert feat.shape[2:] == (max(height // stride, 1), max(width // stride, 1))
            assert feat.isfinite().all()
    # gradients in the adapter only, in the tokens of every block; checkpointing changes nothing
    image = torch.randn(1, 3, 64, 64)
    feats = backbone(image)
    (sum(feat.square().mean() for feat in feats) + feats.queries.sum()).backward()
    for key, parameter in backbone.named_parameters():
        assert (parameter.grad is not None) == key.startswith("reins."), key
    for adapter in adapters(backbone):
        assert adapter.mlp_delta_f.weight.grad.abs().sum() > 0
        assert adapter.learnable_tokens_a.grad.flatten(1).abs().amax(1).gt(0).all()
        torch.nn.init.zeros_(adapter.scale)
    for found, expected in zip(backbone(image), plain(image), strict=True):
        torch.testing.assert_close(found, expected)


def test_siglip_has_the_activation_of_its_released_weights():
    """Timm's older names have the exact GELU, Hugging Face's configs the tanh form."""
    activation, x = tiny_network("siglip2").model.blocks[0].mlp.act, torch.randn(100)
    torch.testing.assert_close(activation(x), torch.nn.functional.gelu(x, approximate="tanh"))
    assert not torch.allclose(activation(x), torch.nn.functional.gelu(x), atol=1e-6)


@pytest.mark.parametrize("name", NETWORKS)
def test_features_are_timms_own(name):
    """At its own size, without adapter, a backbone returns what timm's network does."""
    backbone = tiny_network(name, reins_config=None)
    if name == "dinov2":
        assert "register_tokens" in backbone.state_dict()  # published names
    else:
        assert backbone.state_dict().keys() == backbone.model.state_dict().keys()
    side = 64 if backbone.is_staged else backbone.model.patch_embed.img_size[0]
    image = torch.randn(1, 3, side, side)
    with torch.no_grad():
        expected = backbone.model.forward_intermediates(image, norm=False, intermediates_only=True)
        found = backbone(image).maps
    chosen = [expected[-4:][i] for i in range(4)] if name in STAGED else expected
    for one, other in zip(found, chosen, strict=True):
        assert torch.equal(one, other)
