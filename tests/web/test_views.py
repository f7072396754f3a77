"""What the page draws: classes that can be hidden, confidence, and what to read from them."""

import dataclasses

import numpy as np
import pytest

from rein.datasets.label_maps import CLASSES, PALETTE
from rein.prediction import Prediction
from rein.web import views
from rein.web.views import Shown


@pytest.fixture
def prediction():
    """Road on the left, sky on the right, unsure at the bottom."""
    seg_map = np.zeros((40, 60), np.uint8)
    seg_map[:, 30:] = 10
    confidence = np.full((40, 60), 0.9, np.float32)
    confidence[30:] = 0.2
    image = np.full((40, 60, 3), 100, np.uint8)
    return Prediction(image, seg_map, confidence, None, CLASSES, PALETTE)


def drawn(prediction, **settings):
    return np.asarray(views.draw(prediction, **settings))


def test_a_hidden_class_shows_the_image(prediction):
    everything, sky = drawn(prediction), drawn(prediction, shown=[10])
    assert np.array_equal(everything, np.asarray(prediction.overlay(0.5)))
    assert np.array_equal(sky[:, 30:], everything[:, 30:])
    assert (sky[:, :30] == 100).all()
    assert (drawn(prediction, shown=[]) == 100).all()


def test_only_unsure_pixels_of_shown_classes_are_hatched(prediction):
    plain, hatched = drawn(prediction, shown=[10]), drawn(prediction, shown=[10], unsure=0.5)
    changed = (plain != hatched).any(-1)
    assert changed[30:, 30:].mean() > 0.9
    assert not changed[:30].any() and not changed[:, :30].any()


def test_each_view_is_its_own_picture(prediction):
    assert np.array_equal(drawn(prediction, view=views.IMAGE), prediction.image)
    assert (drawn(prediction, view=views.COLORS)[0, 0] == PALETTE[0]).all()
    assert (drawn(prediction, opacity=0) == 100).all()
    confidence = drawn(prediction, view=views.CONFIDENCE).astype(int)
    assert confidence[0, 0, 1] > confidence[-1, 0, 1] + 50  # yellow is sure, violet is not
    ends = views.confidence_colors(np.array([[0.0, 1.0]], np.float32))
    assert ends.tolist() == [[[68, 1, 84], [253, 231, 37]]]


def test_the_legend_has_every_class_in_order_with_its_share(prediction):
    entries = views.legend(prediction, CLASSES)
    assert [index for _, index in entries] == list(range(19))
    assert entries[0][0] == "road 50%" and entries[1][0] == "sidewalk"
    assert views.legend(None, CLASSES)[10] == ("sky", 10)
    css = views.legend_css(PALETTE)
    assert "label:nth-of-type(1) input:checked {background-color: rgb(128, 64, 128)" in css


def test_the_summary_tells_confidence_the_conditions_effect_and_the_shift(prediction):
    other = dataclasses.replace(
        prediction, seg_map=np.zeros((40, 60), np.uint8), shift=1.5)
    text = views.summary(Shown(prediction, other, "fog", 4, 0.25), unsure=0.5)
    for part in ("60 x 40", "0.2 s", "<b>25%</b><span>below 0.50", "class kept under fog 4",
                 "<b>50%</b>", "Domain shift 1.50", "unlike the training images"):
        assert part in text, part
    assert "Hatched: unsure, the confidence is below 0.50." in text
    for unsure, view in ((0.0, views.OVERLAY), (0.5, views.CONFIDENCE), (0.5, views.IMAGE)):
        assert "Hatched" not in views.summary(Shown(prediction, other), unsure, view)
    calm = dataclasses.replace(prediction, shift=0.4)
    assert "unlike" not in views.summary(Shown(calm, calm))
    assert "shift" not in views.summary(Shown(prediction, prediction))
