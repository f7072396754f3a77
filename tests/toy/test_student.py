"""The toy foundation model: its file, its start, and that it trains as it is used."""

import torch
from conftest import ROOT, build

from rein import checkpoint as ckpt
from toy.pretraining.student import (
    GRID,
    build_encoder,
    encode,
    start_patches_from_pictures,
)


def test_committed_weights_are_small_and_in_dinov2s_format():
    path = ROOT / "checkpoints/toy_vit_pretrain.pth"
    assert path.stat().st_size <= 12 * 2**20
    weights = ckpt.load_file(path)
    width = weights["cls_token"].shape[-1]
    depth = sum(name.endswith("norm1.weight") for name in weights)
    assert weights["patch_embed.proj.weight"].shape[1:] == (3, 14, 14)
    assert weights["mask_token"].shape == (1, width)
    converted = ckpt.convert_dinov2(weights, (256, 256), 16)
    backbone = build(dict(
        type="DinoVisionTransformer", img_size=256, embed_dim=width, depth=depth, num_heads=4))
    backbone.load_pretrained(converted, str(path))
    assert all(value.isfinite().all() for value in backbone.state_dict().values())


def test_training_sees_what_the_converted_network_computes():
    torch.manual_seed(0)
    encoder = build_encoder(32, 2, 2)
    images = torch.randn(2, 3, 256, 256)
    converted = ckpt.convert_dinov2(encoder.state_dict(), (256, 256), 16)
    used = build_encoder(32, 2, 2, img_size=256, patch_size=16)
    used.load_state_dict(converted)
    with torch.no_grad():
        expected = used.forward_intermediates(
            images, indices=[0, 1], norm=False, intermediates_only=True)
        for found, wanted in zip(encode(encoder, images), expected, strict=True):
            torch.testing.assert_close(found, wanted.flatten(2).mT, atol=1e-5, rtol=1e-4)


def test_heads_start_by_attending_to_one_neighbour():
    encoder = build_encoder(192, 2, 4)
    attention = encoder.blocks[0].attn
    tokens = encoder.pos_embed[0, 1:]
    q, k, _ = (attention.qkv(tokens) - attention.qkv.bias).chunk(3, -1)
    q, k = (x.view(GRID * GRID, 4, -1).transpose(0, 1) for x in (q, k))
    nearest = (q @ k.mT).argmax(-1)
    middle = 8 * GRID + 8
    assert nearest[:, middle].tolist() == [middle - 1, middle + 1, middle - GRID, middle + GRID]


def test_patch_kernels_start_with_equally_strong_channels():
    torch.manual_seed(0)
    encoder = build_encoder(16, 1, 2)
    images = [torch.randn(3, 128, 128).cumsum(-1).cumsum(-2) / 500 for _ in range(4)]
    start_patches_from_pictures(encoder, images, torch.Generator().manual_seed(0))
    kernel = ckpt.resample(encoder.patch_embed.proj.weight, (16, 16))
    channels = torch.nn.functional.conv2d(torch.stack(images), kernel, stride=16)
    spread = channels.transpose(0, 1).flatten(1).std(1)
    assert 0.1 < spread.min() and spread.max() < 1
