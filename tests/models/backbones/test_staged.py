"""Networks with strides of their own: ConvNeXt, ResNet, Swin, Hiera, EfficientNet."""

import copy

import pytest
import torch
from tiny_networks import tiny_network as staged

from rein.errors import UserError
from rein.models import VisionFoundationModel


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
    backbone = staged("convnext", out_indices=[0, 3])
    feats = backbone(torch.randn(1, 3, 64, 64))
    parts = [adapter.queries() for adapter in backbone.reins.children()]
    torch.testing.assert_close(feats.queries, parts[0] + parts[3])
    assert [tuple(feat.shape[1:]) for feat in feats] == [(8, 16, 16), (32, 2, 2)]


def test_arguments_of_a_stage_hold_for_the_stages_after_it():
    given = [dict(lora_dim=3), {}, dict(lora_dim=4), {}]
    adapters = list(staged("convnext", distinct_cfgs=given).reins.children())
    assert [adapter.lora_dim for adapter in adapters] == [3, 3, 4, 4]


def test_adapters_take_the_patch_size_of_plain_networks_and_the_published_one_in_stages():
    assert staged("dinov2").reins.patch_size == 14
    assert {adapter.patch_size for adapter in staged("convnext").reins.children()} == {16}


@pytest.mark.parametrize("first", [8, 16])
def test_channels_are_told_from_sides_of_maps(first):
    """A network of 16 channels has square maps of side 16 for images of 64x64."""
    backbone = staged("swin", embed_dim=first, num_heads=(1, 1, 1, 1))
    assert [feat.shape[1:] for feat in backbone(torch.randn(1, 3, 96, 64))] == [
        (first * 2**i, 24 // 2**i, 16 // 2**i) for i in range(4)]


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
