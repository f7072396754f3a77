"""A frozen backbone in int8 gives nearly the same results; the rest stays unchanged."""

import pytest
import torch
from conftest import ROOT, build
from tiny_adapters import IMAGES, backbone
from torch import nn

from rein.checkpoint import load_backbone
from rein.engine.configs.reading import load_config
from rein.engine.weights.loading import fit_backbone
from rein.errors import UserError
from rein.models.int8 import Int8Linear, quantize_frozen

TOY = "configs/toy/rein_toy_vit_mask2former_256x256.py"


@pytest.fixture(scope="module")
def toy():
    """The toy model: a pretrained backbone, an untrained adapter and head."""
    torch.manual_seed(0)
    model = build(load_config(TOY).model)
    nn.init.normal_(model.decode_head.cls_embed.weight)  # predicts several classes
    path = ROOT / "checkpoints/toy_vit_pretrain.pth"
    model.backbone.load_pretrained(fit_backbone(load_backbone(path), model.backbone), str(path))
    return model.eval()


def test_a_token_with_a_huge_norm_leaves_the_others_accurate():
    linear = nn.Linear(64, 32)
    x = torch.randn(2, 9, 64)
    x[:, 3] *= 1000
    x[:, 4] = 0
    with torch.no_grad():
        found, expected = Int8Linear(linear)(x), linear(x)
    error = (found - expected).norm(dim=-1) / expected.norm(dim=-1)
    assert error.max() < 0.02


def test_frozen_weights_in_bfloat16_are_quantized_in_float32():
    linear = nn.Linear(64, 32).bfloat16()
    layer, x = Int8Linear(linear), torch.randn(3, 64)
    assert layer.weight_scales.dtype == layer(x).dtype == torch.float32
    with torch.no_grad():
        expected = linear.float()(x)
    assert (layer(x) - expected).norm() < 0.02 * expected.norm()


def test_int8_gives_nearly_the_same_features_and_keeps_trained_parameters(toy):
    image = torch.nn.functional.interpolate(
        torch.randn(1, 3, 16, 32, generator=torch.Generator().manual_seed(0)), (256, 512),
        mode="bicubic")
    trained = {name for name, p in toy.named_parameters() if p.requires_grad}
    with torch.no_grad():
        expected = toy.backbone(image)[2]
        quantize_frozen(toy)
        found = toy.backbone(image)[2]
    similarity = torch.cosine_similarity(found, expected, dim=1)  # of each patch's features
    assert similarity.min() > 0.998 and similarity.mean() > 0.9995
    assert not torch.equal(found, expected)
    assert sum(isinstance(m, Int8Linear) for m in toy.modules()) == 4 * 8  # four per block
    assert trained <= {name for name, _ in toy.named_parameters()}


def test_hooks_survive_quantization(tiny_model):
    layer = tiny_model.backbone.model.blocks[1].attn.proj
    layer.register_forward_hook(lambda module, args, output: output + 1)
    layer.register_forward_pre_hook(lambda module, args: (2 * args[0],))
    expected = layer(torch.ones(1, 3, 32))
    quantize_frozen(tiny_model)
    quantized = tiny_model.backbone.model.blocks[1].attn.proj
    assert isinstance(quantized, Int8Linear)
    torch.testing.assert_close(quantized(torch.ones(1, 3, 32)), expected, atol=0.02, rtol=0.02)


@pytest.mark.parametrize(
    "adapter", ["rein", "lora", "soma", "vpt", "vpt_shallow", "adaptformer", "bitfit", "norm",
                "combined"])
def test_an_adapter_keeps_its_effect_in_int8(adapter):
    model = nn.Module()
    model.backbone = backbone(adapter)
    start = features(model)
    for parameter in model.backbone.reins.parameters():
        parameter.data += 0.5 * torch.randn_like(parameter)
    expected = features(model)
    error = (features(quantize_frozen(model)) - expected).norm()
    assert error < 0.05 * expected.norm() and error < 0.5 * (expected - start).norm()


def features(model):
    """Return the last map."""
    with torch.no_grad():
        return model.backbone(IMAGES).maps[-1]


def test_dora_is_refused_in_int8():
    model = nn.Module()
    model.backbone = backbone("dora")
    with pytest.raises(UserError, match="DoRA reads the frozen weights.*fold the adapter"):
        features(quantize_frozen(model))


def test_int8_is_refused_where_it_does_not_apply(tiny_config):
    with torch.device("meta"), pytest.raises(UserError, match="for CPUs.*on meta"):
        quantize_frozen(build(tiny_config))
    tiny_config.backbone.type = "DinoVisionTransformer"
    tiny_config.backbone.pop("reins_config")
    tiny_config.decode_head.update(linked_queries=False, replace_query_feat=False)
    with pytest.raises(UserError, match="no frozen"):
        quantize_frozen(build(tiny_config))
