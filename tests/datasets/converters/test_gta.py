"""Conversion of GTA V labels to trainIds."""

import os

from label_files import make_gta, read
from PIL import Image

from rein.datasets.converters.gta import convert_gta
from rein.datasets.converters.jobs import Report
from rein.datasets.label_maps import CITYSCAPES_ID_TO_TRAIN_ID


def test_gta_palette_ids_become_train_ids(tmp_path):
    label, = make_gta(tmp_path, count=1)
    before = label.read_bytes()
    assert convert_gta(tmp_path, workers=1) == Report(1, 0, ())
    expected = [CITYSCAPES_ID_TO_TRAIN_ID.get(i, 255) for i in range(256)]
    assert read(tmp_path / "labels/00000_labelTrainIds.png").reshape(-1).tolist() == expected
    assert label.read_bytes() == before


def test_gta_label_that_differs_in_size_from_its_image_is_named(tmp_path):
    labels = make_gta(tmp_path, count=3)
    (tmp_path / "images").mkdir()
    Image.new("RGB", (32, 8)).save(tmp_path / "images/00000.png")
    Image.new("RGB", (32, 9)).save(tmp_path / "images/00001.png")
    report = convert_gta(tmp_path, workers=1)
    assert (report.converted, [source for source, _ in report.failed]) == (2, [labels[1]])
    assert "32x8" in report.failed[0][1] and "32x9" in report.failed[0][1]
    assert not (tmp_path / "labels/00001_labelTrainIds.png").exists()


def test_a_pair_that_becomes_unfit_loses_its_converted_label(tmp_path):
    """Training would use it; an image extracted later may be older than the label."""
    make_gta(tmp_path, count=2)
    assert convert_gta(tmp_path, workers=1).converted == 2
    (tmp_path / "images").mkdir()
    Image.new("RGB", (32, 9)).save(tmp_path / "images/00001.png")
    os.utime(tmp_path / "images/00001.png", (0, 0))
    (_, reason), = convert_gta(tmp_path, workers=1).failed
    assert "32x9" in reason and "removed the outdated" in reason
    assert [path.name for path in (tmp_path / "labels").glob("*_labelTrainIds.png")] == [
        "00000_labelTrainIds.png"]
