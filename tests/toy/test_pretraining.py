"""The toy foundation model: its file, and that its pretraining learns and is repeatable."""

import dataclasses
import re

import numpy as np
import pytest
import torch
from conftest import ROOT, build
from PIL import Image

from rein import checkpoint as ckpt
from rein.errors import UserError
from toy.pretraining.pretrain import Pair, Recipe, build_encoder, crops, find_pairs, pretrain
from toy.pretraining.probe import extract
from toy.pretraining.visual_words import Dictionary
from toy.streets.make import make_toy_streets


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


def test_pretraining_learns_and_repeats(tmp_path, monkeypatch):
    monkeypatch.setattr(  # visual words of a tenth of the crops
        "toy.pretraining.pretrain.Dictionary",
        lambda crops, *arguments: Dictionary(crops[:40], *arguments))
    make_toy_streets(tmp_path, {"unlabelled": 4}, 7, 1)
    pairs, lines = find_pairs(tmp_path / "unlabelled"), []
    assert len(pairs) == 4
    recipe = Recipe(iters=50, batch=8, visible=16, words=16, lr=3e-3)
    pretrain(pairs, recipe, lines.append)
    losses = [float(re.search(r"seen words ([\d.]+)", line).group(1)) for line in lines]
    assert losses[-1] < losses[0]
    short = dataclasses.replace(recipe, iters=2)
    again, twice = (pretrain(pairs, short, lines.append) for _ in range(2))
    assert all(torch.equal(again[name], twice[name]) for name in again)


def test_both_pictures_of_a_street_are_cut_alike(tmp_path):
    board = np.random.default_rng(0).integers(0, 255, (256, 480, 3), np.uint8)
    for name in ("a.png", "b.png"):
        Image.fromarray(board).save(tmp_path / name)
    views, fair = next(crops(
        [Pair(tmp_path / "a.png", tmp_path / "b.png")], 6, np.random.default_rng(0), fair=0))
    assert np.array_equal(views, fair) and not np.array_equal(views[0], views[1])


def test_a_folder_without_pairs_is_named(tmp_path):
    with pytest.raises(UserError, match="no pairs .*make_toy_streets.py --unlabelled"):
        find_pairs(tmp_path)


def test_probed_features_are_those_of_four_blocks():
    features = extract(build_encoder().state_dict(), torch.zeros(2, 3, 256, 256, dtype=torch.uint8))
    assert features.shape == (2, 256, 4 * 128)
