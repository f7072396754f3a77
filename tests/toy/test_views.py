"""Views of unlabelled streets."""

import numpy as np
import pytest
import torch
from PIL import Image

from rein.errors import UserError
from toy.pretraining.views import SIDE, Pair, distort, draw_view, find_pairs
from toy.streets.make import make_toy_streets


def test_pairs_are_found_and_a_folder_without_them_is_named(tmp_path):
    make_toy_streets(tmp_path, {"unlabelled": 2}, 7, 1)
    pairs = find_pairs(tmp_path / "unlabelled")
    assert len(pairs) == 2 and all(path.is_file() for pair in pairs for path in pair)
    with pytest.raises(UserError, match="no pairs .*make_toy_streets.py --unlabelled"):
        find_pairs(tmp_path)


def test_a_view_shows_its_box(tmp_path, monkeypatch):
    """On a picture whose red and green are the position, colours say where a pixel lies."""
    monkeypatch.setattr("toy.pretraining.views.distort", lambda p, _: torch.from_numpy(
        p.astype(np.float32) / 255).permute(2, 0, 1))
    height, width = 256, 480
    y, x = np.mgrid[0:height, 0:width]
    ramp = np.stack((x * 255 / width, y * 255 / height, 0 * x), -1).astype(np.uint8)
    Image.fromarray(ramp).save(tmp_path / "a.png")
    pair, rng = Pair(tmp_path / "a.png", tmp_path / "a.png"), np.random.default_rng(0)
    flips = set()
    for _ in range(6):
        pixels, (left, top, right, bottom), flip = draw_view(pair, rng)
        assert pixels.shape == (3, SIDE, SIDE)
        red = pixels[0].mean(0).flip(0) if flip else pixels[0].mean(0)
        assert abs(red[0] - left) < 0.02 and abs(red[-1] - right) < 0.02
        green = pixels[1].mean(1)
        assert abs(green[0] - top) < 0.02 and abs(green[-1] - bottom) < 0.02
        flips.add(flip)
    assert flips == {False, True}


def test_distortion_differs_and_stays_in_range():
    pixels = np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8)
    views = [distort(pixels, np.random.default_rng(seed)) for seed in (0, 0, 1)]
    assert torch.equal(views[0], views[1]) and not torch.equal(views[0], views[2])
    assert all(0 <= v.min() and v.max() <= 1 and v.shape == (3, 32, 32) for v in views)
