"""Networks with strides of their own: ConvNeXt, ResNet, Swin, Hiera, EfficientNet."""

import copy

import pytest
import torch
from conftest import build

from rein.errors import UserError
from rein.models import VisionFoundationModel
from rein.models.freezing import trained_state_dict

ADAPTER = dict(type="LoRAReins", token_length=6, query_dims=8, lora_dim=2)
TINY = {
    "convnext": dict(model="convnext_atto", depths=(1, 1, 2, 1), dims=(8, 16, 24, 32)),
    "resnet": dict(model="resnet26", layers=(1, 1, 2, 1), channels=(8, 16, 24, 32)),
    "swin": dict(model="swin_tiny_patch4_window7_224", depths=(1, 1, 2, 1), embed_dim=12,
                 num_heads=(1, 2, 2, 2)),
    "sam2": dict(model="sam2_hiera_tiny", stages=(1, 2, 3, 2), embed_dim=12,
                 global_att_blocks=(4,)),
    "efficientnet": dict(model="tf_efficientnet_lite0"),
}


def staged(name, **kwargs):
    torch.manual_seed(0)
    return build(dict(type="VisionFoundationModel", reins_config=ADAPTER, **TINY[name], **kwargs))


@pytest.mark.parametrize("name", TINY)
def test_maps_have_their_own_strides_at_any_size(name):
    backbone = staged(name).eval()
    for size in ((64, 96), (70, 33)):
        with torch.no_grad():
            feats = backbone(torch.randn(1, 3, *size))
        padded = [-(-side // 32) * 32 for side in size]
        assert feats.image_size == tuple(padded)
        for feat, stride, width in zip(feats, (4, 8, 16, 32), backbone.embed_dims, strict=True):
            assert feat.shape == (1, width, *(side // stride for side in padded))
        assert feats.queries.shape == (6, 8)


@pytest.mark.parametrize("name", TINY)
def test_every_block_is_refined_and_the_adapter_alone_trains(name):
    backbone = staged(name, with_cp=True).train()
    image = torch.randn(1, 3, 64, 64)
    feats = backbone(image)
    (sum(feat.mean() for feat in feats) + feats.queries.sum()).backward()
    for parameter_name, parameter in backbone.named_parameters():
        assert (parameter.grad is not None) == parameter_name.startswith("reins."), parameter_name
    for adapter in backbone.reins.children():  # tokens of all layers, not only of the last one
        assert adapter.learnable_tokens_a.grad.flatten(1).abs().amax(1).gt(0).all()
    plain = staged(name).train()
    plain.load_state_dict(backbone.state_dict())
    for found, expected in zip(backbone(image), plain(image), strict=True):
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("name", TINY)
def test_names_are_timms_own_and_the_saved_ones_the_adapters(name):
    backbone = staged(name)
    state = backbone.state_dict()
    own = {name for name in state if not name.startswith("reins.")}
    assert own == set(backbone.model.state_dict())
    assert not any("head" in name or "classifier" in name for name in own)
    saved = trained_state_dict(backbone)
    assert saved.keys() == state.keys() - own  # no batch statistics either
    assert {name.split(".")[1] for name in saved} == {
        str(i) for i in range(6 if name == "efficientnet" else 4)}


def test_frozen_batch_statistics_stay():
    backbone = staged("resnet").train()
    before = copy.deepcopy(backbone.model.state_dict())
    backbone(torch.randn(2, 3, 64, 64))
    after = backbone.model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_copy_of_a_staged_network_uses_its_own_adapters():
    backbone, image = staged("convnext"), torch.randn(1, 3, 64, 64)
    twin = copy.deepcopy(backbone)
    for adapter in twin.reins.children():
        torch.nn.init.constant_(adapter.scale, 5.0)
    assert not torch.allclose(twin(image)[0], backbone(image)[0])


def test_queries_are_the_sum_over_the_stages_that_give_maps():
    backbone = staged("convnext", out_indices=[0, 2])
    feats = backbone(torch.randn(1, 3, 64, 64))
    parts = [adapter.queries() for adapter in backbone.reins.children()]
    torch.testing.assert_close(feats.queries, parts[0] + parts[2])
    assert [tuple(feat.shape[1:]) for feat in feats] == [(8, 16, 16), (24, 4, 4)]


def test_weights_of_pruned_parts_are_ignored_and_others_refused():
    import timm

    backbone = VisionFoundationModel("convnext_atto")
    official = timm.create_model("convnext_atto").state_dict()
    backbone.load_pretrained(official, "official.pth")
    assert torch.equal(backbone.state_dict()["stem.0.weight"], official["stem.0.weight"])
    with pytest.raises(UserError, match="1 unexpected: stem.9"):
        backbone.load_pretrained({**official, "stem.9": torch.zeros(1)}, "official.pth")


def test_an_adapter_that_does_not_fit_its_stage_is_refused():
    with pytest.raises(UserError, match="num_layers=24.*the backbone has 1 blocks of width 8"):
        staged("convnext", distinct_cfgs=[dict(num_layers=24)] * 4)
    with pytest.raises(UserError, match="distinct_cfgs has 3 entries.*4 stages"):
        staged("convnext", distinct_cfgs=[{}] * 3)


def test_a_network_without_the_four_strides_is_refused():
    with pytest.raises(UserError, match="maps at strides.*expected one at each of 4, 8, 16, 32"):
        VisionFoundationModel("convnext_atto", output_stride=16)
