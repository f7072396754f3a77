"""Changed biases and norms act as the folded ones, on every layout of norms."""

import pytest
import timm
import torch
from timm.layers import LayerNormAct
from tiny_networks import NETWORKS
from torch import nn

import rein
from rein.models.adapters import NormTuning

MAP_NORMS = dict(NETWORKS["convnext"], conv_mlp=True, ls_init_value=1.0)
BATCH_NORM_ACT = dict(model="efficientnet_b0")
LAYER_NORM_ACT = dict(model="efficientnet_lite0", norm_layer="layernorm2d")
BOTH = dict(type="Combined", adapters=[dict(type="bitfit"), dict(type="norm")])


def network(model, **kwargs):
    torch.manual_seed(0)
    return timm.create_model(model, **kwargs)


@pytest.mark.parametrize(("arguments", "adapter"), [
    (MAP_NORMS, "bitfit"), (MAP_NORMS, "norm"), (BATCH_NORM_ACT, "bitfit"),
    (LAYER_NORM_ACT, "bitfit"), (LAYER_NORM_ACT, "norm"), (LAYER_NORM_ACT, BOTH)])
@torch.no_grad()
def test_the_adapter_equals_its_folded_weights(arguments, adapter):
    model, folded = network(**arguments), network(**arguments).eval()
    added = rein.add_adapter(model, adapter)
    for parameter in added.parameters():
        nn.init.normal_(parameter, std=0.1)
    images = torch.randn(2, 3, 64, 64)
    start = folded(images)
    for name, change in added.fold().items():
        folded.get_parameter(name).data += change
    torch.testing.assert_close(model(images), folded(images), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(model(images), start, rtol=1e-2)


@torch.no_grad()
def test_a_norm_of_tokens_with_an_activation_is_tuned_before_it():
    torch.manual_seed(0)
    block, x = nn.Sequential(LayerNormAct(8)), torch.randn(2, 5, 8)
    block.requires_grad_(False)
    adapter = NormTuning()
    adapter.attach(block, [[block]], 0)
    nn.init.normal_(adapter.get_submodule("0").weight)
    found = block(x)
    for name, change in adapter.fold().items():
        block.get_parameter(name).data += change
    block[0]._forward_hooks.clear()
    torch.testing.assert_close(found, block(x))
