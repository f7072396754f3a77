"""Frozen weights in bfloat16 take half the memory and compute what autocast computes."""

import pytest
import torch
from conftest import build
from tiny_backbone import SMALL, rein_backbone
from tiny_networks import STAGED, tiny_network
from tiny_rein import tiny

from rein.checkpoint import fingerprint, fingerprint_difference
from rein.errors import UserError


def size(module):
    return sum(p.numel() * p.element_size() for p in module.parameters())


@pytest.mark.parametrize("name", ["vit", "resnet", "sam2"])
def test_half_the_memory_gives_autocasts_maps_and_a_float32_adapter(name):
    make = rein_backbone if name == "vit" else lambda **kwargs: tiny_network(name, **kwargs)
    plain, half = make(), make(frozen_dtype="bf16", with_cp=True)
    assert size(half.model) < 0.6 * size(plain.model)  # norms and positions weigh more when tiny
    image = torch.randn(1, 3, 64, 64)
    with torch.autocast("cpu", torch.bfloat16):
        expected = plain(image)
    found = half(image)
    for one, other in zip(found.maps, expected.maps, strict=True):
        assert one.dtype == torch.float32 and torch.equal(one, other.float())
    (sum(one.mean() for one in found) + found.queries.sum()).backward()
    for parameter in half.reins.parameters():
        assert parameter.dtype == parameter.grad.dtype == torch.float32
        assert parameter.grad.isfinite().all()


def test_an_adapter_trained_on_rounded_weights_knows_the_file_they_came_from():
    plain, half, other = rein_backbone(), rein_backbone(frozen_dtype="bf16"), rein_backbone()
    torch.nn.init.normal_(other.model.blocks[0].mlp.fc1.weight)
    marks = [fingerprint({n: v for n, v in one.state_dict().items() if not n.startswith("reins.")})
             for one in (plain, half, other)]
    assert fingerprint_difference(marks[1], marks[0]) is None
    assert fingerprint_difference(marks[0], marks[1]) is None
    assert "it was trained with weights" in fingerprint_difference(marks[1], marks[2])


def test_a_segmentor_that_freezes_its_backbone_stores_it_in_half(tiny_config):
    tiny_config.type = "FrozenBackboneEncoderDecoder"
    tiny_config.backbone.update(type="DinoVisionTransformer", frozen_dtype="bf16")
    tiny_config.backbone.pop("reins_config")
    tiny_config.decode_head.update(linked_queries=False, replace_query_feat=False)
    backbone = build(tiny_config).backbone
    assert backbone.model.blocks[0].mlp.fc1.weight.dtype == torch.bfloat16


@pytest.mark.parametrize("backbone", [
    dict(type="DinoVisionTransformer"),
    dict(type="VisionFoundationModel", model="vit_small_patch16_224", frozen=False)])
def test_a_backbone_that_trains_is_not_kept_in_half(tiny_config, backbone):
    tiny_config.backbone = dict(backbone, **SMALL, frozen_dtype="bf16")
    tiny_config.decode_head = dict(type="FCNHead", in_channels=32, channels=8, num_classes=19)
    with pytest.raises(UserError, match="frozen_dtype='bf16'.* all of .* trains.*precision='bf16'"):
        build(tiny_config)


def test_other_types_are_refused():
    with pytest.raises(UserError, match="frozen_dtype='fp8': expected 'fp32' or 'bf16'"):
        rein_backbone(frozen_dtype="fp8")


def test_normalisation_is_the_networks_unless_the_config_names_one(tiny_config):
    tiny_config.backbone = dict(type="VisionFoundationModel", reins_config=dict(
        type="LoRAReins", token_length=8, lora_dim=4, query_dims=16), **STAGED["convnext"])
    tiny_config.decode_head.in_channels = [8, 16, 24, 32]
    own = build(tiny_config)
    assert own.data_preprocessor.mean.flatten().tolist() == pytest.approx([123.675, 116.28, 103.53])
    tiny_config.backbone.model = "tf_efficientnet_lite0"
    for key in ("depths", "dims"):
        tiny_config.backbone.pop(key)
    tiny_config.decode_head.in_channels = [24, 40, 112, 320]
    named = build(tiny_config)
    assert named.data_preprocessor.mean[0].item() == pytest.approx(123.675)
    tiny_config.data_preprocessor.update(mean=None, std=None)
    derived = build(tiny_config)
    assert derived.data_preprocessor.mean.flatten().tolist() == [127.5] * 3
    assert tiny().data_preprocessor.mean[0].item() == pytest.approx(123.675)
