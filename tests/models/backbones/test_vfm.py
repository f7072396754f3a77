import copy

import pytest
import torch
from tiny_backbone import SMALL, rein_backbone
from tiny_networks import tiny_network

from rein.checkpoint import resample
from rein.errors import UserError
from rein.models import CLIPVisionTransformer, DinoVisionTransformer, VisionFoundationModel
from rein.models.freezing import freeze, trained_state_dict


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


@pytest.mark.parametrize("name", ["mae", "eva02", "sam"])
@torch.no_grad()
def test_positions_of_other_sizes_are_resampled_without_antialiasing(name):
    network = tiny_network(name, reins_config=None).eval()
    inputs = []
    network.model.blocks[0].register_forward_pre_hook(lambda _, args: inputs.append(args[0]))
    image = torch.zeros(1, 3, *(3 * side for side in network.multiple))
    positions = network.model.pos_embed
    network(image)
    positions.copy_(torch.randn(positions.shape, generator=torch.Generator().manual_seed(1)))
    network(image)
    grid = positions if positions.ndim == 4 else positions[:, 1:].unflatten(1, (4, 4))
    expected = resample(grid.permute(0, 3, 1, 2), (3, 3)).flatten(2).transpose(1, 2)
    positions.zero_()
    network(image)
    found = (inputs[1] - inputs[2]).flatten(1, -2)[:, -9:]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_a_network_for_one_size_refuses_others():
    backbone = VisionFoundationModel(
        "vit_relpos_small_patch16_224", img_size=64, embed_dim=32, depth=4, num_heads=2)
    assert len(backbone(torch.randn(1, 3, 64, 60))) == 4
    with pytest.raises(UserError, match=r"images of \(64, 64\).*found \(64, 80\).*img_size"):
        backbone(torch.randn(1, 3, 64, 70))


@pytest.mark.parametrize("indices", [[3], [0, 1, 3], [0, 1, 2, 2, 3]])
def test_a_plain_network_gives_four_maps(indices):
    with pytest.raises(UserError, match=r"out_indices is \[.*\], but .* 4 maps.* 0 to 3"):
        DinoVisionTransformer(**SMALL, out_indices=indices)
    clip = dict(input_resolution=64, patch_size=16, width=32, layers=4, heads=2)
    assert len(CLIPVisionTransformer(**clip, out_indices=indices)(
        torch.randn(1, 3, 64, 64))) == len(indices)  # all of the patch grid's size


def test_missing_pretrained_weights_are_named_with_the_command_to_create_them(tmp_path):
    path = tmp_path / "dinov2_converted.pth"
    backbone = rein_backbone(init_cfg=dict(type="Pretrained", checkpoint=str(path)))
    with pytest.raises(UserError, match="no such file.*convert_dinov2"):
        backbone.init_weights()


def test_an_unknown_argument_of_timms_network_is_refused():
    with pytest.raises(UserError, match="Did you mean 'out_indices'"):
        VisionFoundationModel("vit_tiny_patch16_224", out_indexes=[0])


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


@pytest.mark.parametrize("name, size", [
    ("vit_tiny_patch16_224", 64), ("eva02_tiny_patch14_224", 56)])
def test_every_trainable_parameter_of_a_backbone_that_trains_wholly_gets_a_gradient(name, size):
    """Distributed training waits for the gradients of all trainable parameters."""
    options = dict(model=name, img_size=size, depth=3, out_indices=(0, 0, 1, 1))
    backbone = VisionFoundationModel(frozen=False, **options)
    sum(feat.sum() for feat in backbone(torch.randn(1, 3, 64, 64))).backward()
    assert not [n for n, p in backbone.named_parameters() if p.grad is None]
    names = list(VisionFoundationModel(**options).state_dict())
    assert list(backbone.state_dict()) == names and any(n.startswith("blocks.2.") for n in names)
    assert trained_state_dict(backbone).keys() == set(names)
    assert not trained_state_dict(freeze(backbone))
