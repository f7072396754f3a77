"""Cityscapes polygons are drawn as label ids."""

import pytest

from rein.datasets.cityscapes_polygons import rasterize


def annotation(*objects):
    return {"imgHeight": 2, "imgWidth": 4, "objects": [
        {"label": label, "polygon": [[left, 0], [right, 0], [right, 1], [left, 1]], **more}
        for label, left, right, more in objects]}


def test_later_objects_cover_earlier_ones_and_groups_count_as_their_class():
    ids = rasterize(annotation(("road", 0, 3, {}), ("cargroup", 2, 3, {}), ("bus", 3, 3, {})))
    assert ids.tolist() == [[7, 7, 26, 28]] * 2


def test_deleted_objects_and_license_plates_are_skipped():
    ids = rasterize(annotation(
        ("road", 0, 1, {}), ("bus", 0, 0, {"deleted": 1}), ("license plate", 1, 1, {})))
    assert ids.tolist() == [[7, 7, 0, 0]] * 2


def test_unknown_labels_are_rejected():
    with pytest.raises(ValueError, match="'spaceship' is not a Cityscapes label"):
        rasterize(annotation(("spaceship", 0, 1, {})))
