"""The toy foundation model: its file, and that its pretraining learns and is repeatable."""

import re

import torch
from conftest import ROOT, build

from rein import checkpoint as ckpt
from rein.datasets.toy_streets.make import make_toy_streets
from rein.engine.pretrain import build_encoder, pretrain
from rein.engine.pretrain_probe import extract


def test_committed_weights_are_small_and_in_dinov2s_format():
    path = ROOT / "checkpoints/toy_vit_pretrain.pth"
    assert path.stat().st_size <= 4 * 2**20
    weights = ckpt.load_file(path)
    assert weights["patch_embed.proj.weight"].shape[1:] == (3, 14, 14)
    assert weights["mask_token"].shape == (1, 128)
    converted = ckpt.convert_dinov2(weights, (256, 256), 16)
    backbone = build(dict(
        type="DinoVisionTransformer", img_size=256, embed_dim=128, depth=8, num_heads=4))
    backbone.load_pretrained(converted, str(path))
    assert all(value.isfinite().all() for value in backbone.state_dict().values())


def test_pretraining_learns_and_repeats(tmp_path, capsys):
    make_toy_streets(tmp_path, {"unlabelled": 4}, 7, 1)
    images = sorted((tmp_path / "unlabelled").glob("*.jpg"))
    first = pretrain(images, iters=50, batch=8, visible=16, wanted=16, lr=3e-3)
    losses = [float(x) for x in re.findall(r"loss ([\d.]+)", capsys.readouterr().out)]
    assert losses[-1] < losses[0]
    again = pretrain(images, iters=2, batch=8, visible=16, wanted=16)
    twice = pretrain(images, iters=2, batch=8, visible=16, wanted=16)
    assert all(torch.equal(again[name], twice[name]) for name in first)


def test_probed_features_are_those_of_four_blocks():
    features = extract(build_encoder().state_dict(), torch.zeros(2, 3, 256, 256, dtype=torch.uint8))
    assert features.shape == (2, 256, 4 * 128)
