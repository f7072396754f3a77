"""A prediction draws, counts and saves what it holds, without torch."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from test_door import STACK, modules_after

from rein.datasets.label_maps import CLASSES, PALETTE
from rein.errors import UserError
from rein.evaluation import painting
from rein.prediction import Prediction


def halves(height=60, width=200):
    """Road in the left half, unsure; car in the right half, sure."""
    right = np.arange(width) >= width // 2
    seg_map = np.broadcast_to(np.where(right, 13, 0), (height, width)).astype(np.uint8)
    confidence = np.broadcast_to(np.where(right, 0.9, 0.3), (height, width)).astype(np.float32)
    image = np.full((height, width, 3), 100, np.uint8)
    return Prediction(image, seg_map, confidence, None, CLASSES, PALETTE)


def test_predictions_need_numpy_and_pillow_alone():
    assert not modules_after("import rein.prediction") & {*STACK, "cv2", "torchvision"}


def test_unsure_pixels_alone_are_hatched():
    plain, hatched = (np.array(halves().overlay(unsure=unsure)) for unsure in (None, 0.5))
    assert np.array_equal(hatched[:, 100:], plain[:, 100:])
    assert len(np.unique(hatched[:, :100].reshape(-1, 3), axis=0)) == 2  # lines and ground
    assert (hatched[:, :100] != plain[:, :100]).all()


def test_the_legend_stands_below_the_picture_and_names_predicted_classes():
    plain, legend = np.array(halves().overlay()), np.array(halves().overlay(legend=True))
    assert np.array_equal(legend[:60], plain)
    below = {tuple(pixel) for pixel in legend[60:].reshape(-1, 3).tolist()}
    assert {PALETTE[0], PALETTE[13]} <= below
    assert PALETTE[10] not in below


def test_the_legend_explains_hatched_pixels(monkeypatch):
    names, write = [], painting.write
    monkeypatch.setattr(painting, "write", lambda draw, at, text, *others: (
        names.append(text), write(draw, at, text, *others)))
    hatched = np.array(halves().overlay(unsure=0.5, legend=True))
    assert names == ["road", "car", "unsure (< 0.5)"]
    assert halves().overlay(legend=True) and names[3:] == ["road", "car"]
    below = hatched[60:].reshape(-1, 3).tolist()
    assert below.count([229] * 3) > 30 and below.count([90] * 3) > 30  # a hatched chip of grey


def test_opacity_reaches_from_the_image_to_the_colour_map():
    one = halves()
    assert np.array_equal(one.overlay(0), one.image)
    assert np.array_equal(one.overlay(1), one.color_map())


def test_shares_of_all_classes_sum_to_one():
    shares = halves().shares()
    assert tuple(shares) == CLASSES
    assert (shares["road"], shares["car"], shares["sky"]) == (0.5, 0.5, 0)


def test_saved_train_ids_are_read_back(tmp_path):
    one = halves()
    path = one.save(tmp_path / "new" / "street.png")
    assert np.array_equal(Image.open(path), one.seg_map)
    assert [file.name for file in path.parent.iterdir()] == ["street.png"]


def test_a_prediction_is_shown_in_one_short_line():
    assert repr(halves()) == "Prediction(200 x 60: road 50%, car 50%; mean confidence 0.60)"
    assert repr(replace(halves(), shift=1.23456)).endswith("confidence 0.60, shift 1.23)")


@pytest.mark.parametrize("name, value", [
    ("opacity", 5), ("opacity", "a"), ("opacity", float("nan")), ("unsure", 2), ("unsure", "x")])
def test_overlays_take_numbers_from_0_to_1(name, value):
    with pytest.raises(UserError, match=f"{name}={value!r}; expected a number from 0 to 1"):
        halves().overlay(**{name: value})


@pytest.mark.parametrize("name, message", [
    ("street.jpg", "End the name in .png"), ("file/street.png", "cannot be written")])
def test_a_path_that_cannot_hold_train_ids_is_named(tmp_path, name, message):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=message):
        halves().save(tmp_path / name)
