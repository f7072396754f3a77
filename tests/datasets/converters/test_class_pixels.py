"""Class pixels are counted by runs and written beside the labels."""

import json

import numpy as np
import pytest
from label_files import MAPILLARY_NAMES, MAPILLARY_TRAIN_IDS, make_mapillary

from rein.datasets.converters.class_pixels import count_pixels
from rein.datasets.converters.jobs import Report
from rein.datasets.converters.mapillary import convert_mapillary


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (40, 30)])
def test_counting_by_runs_equals_counting_by_pixels(shape):
    rng = np.random.default_rng(0)
    for highest in (1, 3, 256):
        labels = rng.integers(0, highest, shape, np.uint8)
        values, counts = np.unique(labels, return_counts=True)
        assert count_pixels(labels) == dict(zip(values.tolist(), counts.tolist(), strict=True))


def test_class_pixels_include_converted_and_skipped_labels(tmp_path):
    make_mapillary(tmp_path, MAPILLARY_NAMES, nested=False)
    out = tmp_path / "out"
    report = convert_mapillary(tmp_path, out, workers=1)
    assert report.statistics == (out / "train/label/class_pixels.json",
                                 out / "val/label/class_pixels.json")
    found = json.loads(report.statistics[0].read_text())
    counts = np.bincount(MAPILLARY_TRAIN_IDS, minlength=256)
    assert list(found["classes"].values()) == counts[:19].tolist()
    assert (found["ignored"], found["images"]) == (counts[255], 1)
    assert found["files"]["a.png"]["255"] == counts[255]
    report.statistics[0].unlink()
    again = convert_mapillary(tmp_path, out, workers=1)
    assert again == Report(0, 2, ())
    assert json.loads(again.statistics[0].read_text()) == found
