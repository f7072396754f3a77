import copy

import pytest
import torch
from conftest import build

from rein.errors import UserError
from rein.models import DinoVisionTransformer, ReinsDinoVisionTransformer, VisionFoundationModel

SMALL = dict(img_size=64, embed_dim=32, depth=4, num_heads=2)
ADAPTER = dict(
    type="LoRAReins", token_length=6, embed_dims=32, num_layers=4, patch_size=16, query_dims=8,
    lora_dim=2)


def rein_backbone(**kwargs):
    torch.manual_seed(0)
    return build(dict(type="ReinsDinoVisionTransformer", reins_config=ADAPTER, **SMALL, **kwargs))


@pytest.mark.parametrize("size", [(64, 64), (80, 144), (70, 101), (20, 33)])
def test_maps_have_strides_4_8_16_32_of_the_padded_image(size):
    feats = rein_backbone()(torch.randn(1, 3, *size))
    padded = [-(-side // 16) * 16 for side in size]
    for feat, stride in zip(feats, (4, 8, 16, 32), strict=True):
        assert feat.shape[:2] == (1, 32)
        assert list(feat.shape[2:]) == [max(side // stride, 1) for side in padded]
    assert feats.queries.shape == (6, 8)


def test_only_the_adapter_trains_and_the_rest_stays_in_evaluation_mode():
    backbone = rein_backbone().train()
    assert {n.split(".")[0] for n, p in backbone.named_parameters() if p.requires_grad} == {"reins"}
    assert not any(module.training for module in backbone.model.modules())
    feats = backbone(torch.randn(1, 3, 64, 64))
    (sum(f.sum() for f in feats) + feats.queries.sum()).backward()
    assert all(p.grad is not None for p in backbone.reins.parameters())


def test_an_adapter_with_zero_scale_changes_nothing():
    backbone, image = rein_backbone(), torch.randn(1, 3, 64, 64)
    torch.nn.init.zeros_(backbone.reins.scale)
    plain = DinoVisionTransformer(**SMALL)
    weights = {k: v for k, v in backbone.state_dict().items() if not k.startswith("reins.")}
    plain.load_state_dict(weights)
    for found, expected in zip(backbone(image), plain(image), strict=True):
        torch.testing.assert_close(found, expected)


def test_a_copy_uses_its_own_adapter():
    backbone, image = rein_backbone(), torch.randn(1, 3, 64, 64)
    before = backbone(image)[3]
    twin = copy.deepcopy(backbone)
    torch.nn.init.constant_(twin.reins.scale, 5.0)
    assert torch.equal(backbone(image)[3], before)
    assert not torch.allclose(twin(image)[3], before)


def test_state_dict_has_dinov2s_names_and_loads_back():
    backbone = rein_backbone()
    state = backbone.state_dict()
    assert {"cls_token", "pos_embed", "blocks.3.mlp.fc2.bias", "norm.weight"} <= state.keys()
    assert not any(name.startswith("model.") for name in state)
    twin = rein_backbone()
    torch.nn.init.normal_(twin.model.cls_token)
    twin.load_state_dict({**state, "mask_token": torch.zeros(1, 32)}, strict=True)
    assert torch.equal(twin.model.cls_token, backbone.model.cls_token)


def test_registers_keep_dinov2s_format():
    plain = DinoVisionTransformer(**SMALL, num_register_tokens=4)
    state = plain.state_dict()
    assert state["register_tokens"].shape == (1, 4, 32)
    assert state["pos_embed"].shape == (1, 17, 32)
    # DINOv2 adds the class token's position, timm keeps it in the token; results are equal
    state["pos_embed"][:, 0] = 0.5
    image = torch.randn(1, 3, 64, 64)
    shifted = DinoVisionTransformer(**SMALL, num_register_tokens=4)
    shifted.load_state_dict(state)
    again = DinoVisionTransformer(**SMALL, num_register_tokens=4)
    again.load_state_dict(shifted.state_dict())
    torch.testing.assert_close(shifted.model.cls_token, plain.model.cls_token + 0.5)
    assert torch.equal(shifted(image)[3], again(image)[3])


def test_gated_feed_forward_has_dinov2s_names():
    state = DinoVisionTransformer(**SMALL, ffn_layer="swiglufused").state_dict()
    assert {"blocks.0.mlp.w12.weight", "blocks.0.mlp.w3.weight"} <= state.keys()


@pytest.mark.parametrize("name", [
    "vit_tiny_patch16_224", "eva02_tiny_patch14_224", "vit_small_patch14_reg4_dinov2"])
def test_any_timm_vision_transformer_works(name):
    backbone = VisionFoundationModel(name, img_size=56 if "14" in name else 64)
    feats = backbone(torch.randn(1, 3, 60, 100))
    assert len(feats) == 4 and all(f.isfinite().all() for f in feats)


def test_missing_pretrained_weights_are_named_with_the_command_to_create_them(tmp_path):
    path = tmp_path / "dinov2_converted.pth"
    backbone = rein_backbone(init_cfg=dict(type="Pretrained", checkpoint=str(path)))
    with pytest.raises(UserError, match="no such file.*convert_dinov2"):
        backbone.init_weights()


def test_an_adapter_of_another_depth_is_refused():
    with pytest.raises(UserError, match="num_layers=4.*2 blocks"):
        ReinsDinoVisionTransformer(ADAPTER, **{**SMALL, "depth": 2})


@pytest.mark.parametrize("typo, near", [
    (dict(with_cpp=True), "with_cp"), (dict(embed_dims=32), "embed_dim"),
    (dict(reins_config=dict(ADAPTER, token_lenght=6)), "token_length"),
    (dict(reins_config=dict(ADAPTER, lora_dims=2)), "lora_dim"),
])
def test_an_unknown_argument_is_refused_and_the_nearest_one_named(typo, near):
    with pytest.raises(UserError, match=rf"Did you mean '{near}'"):
        build(dict(dict(type="ReinsDinoVisionTransformer", reins_config=ADAPTER, **SMALL), **typo))


def test_an_unknown_argument_of_timms_network_is_refused():
    with pytest.raises(UserError, match="Did you mean 'out_indices'"):
        VisionFoundationModel("vit_tiny_patch16_224", out_indexes=[0])


def test_the_pyramid_has_the_padded_image_size():
    backbone = DinoVisionTransformer(**{**SMALL, "img_size": 70}, patch_size=14)
    feats = backbone(torch.randn(1, 3, 64, 90))
    assert feats.image_size == (70, 98)
    assert [tuple(x.shape[2:]) for x in feats] == [(17, 24), (8, 12), (4, 6), (2, 3)]


def test_an_averaged_copy_follows_its_own_adapter():
    from mmengine.model import ExponentialMovingAverage

    backbone, image = rein_backbone(), torch.randn(1, 3, 64, 64)
    average = ExponentialMovingAverage(backbone, momentum=0.5)
    torch.nn.init.constant_(backbone.reins.scale, 0.5)
    before = average(image)[3]
    assert not torch.allclose(before, backbone(image)[3])
    for _ in range(2):
        average.update_parameters(backbone)
    assert not torch.allclose(average(image)[3], before)
