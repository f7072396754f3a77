"""Conversion of Cityscapes polygons to trainIds."""

import json
from pathlib import Path

import pytest
from label_files import read

from rein.datasets.converters.cityscapes import convert_cityscapes
from rein.datasets.converters.jobs import Report


def make_cityscapes(folder: Path, name: str, objects: list[dict]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    annotation = {"imgHeight": 4, "imgWidth": 8, "objects": objects}
    (folder / name).write_text(json.dumps(annotation))
    return folder / name


def square(label: str, left: int, right: int, **more) -> dict:
    return {"label": label, "polygon": [[left, 0], [right, 0], [right, 3], [left, 3]], **more}


def test_cityscapes_polygons_are_drawn_as_train_ids(tmp_path):
    make_cityscapes(tmp_path / "gtFine/val/town", "town_0_gtFine_polygons.json", [
        square("road", 0, 7), square("cargroup", 2, 3), square("license plate", 2, 2),
        square("bus", 5, 6, deleted=1), square("ego vehicle", 7, 7)])
    make_cityscapes(tmp_path / "gtCoarse/val/town", "town_0_gtCoarse_polygons.json", [])
    assert convert_cityscapes(tmp_path, workers=1) == Report(1, 0, ())
    result = read(tmp_path / "gtFine/val/town/town_0_gtFine_labelTrainIds.png")
    assert (result == [0, 0, 13, 13, 0, 0, 0, 255]).all() and result.shape == (4, 8)
    coarse = tmp_path / "gtCoarse/val/town/town_0_gtCoarse_labelTrainIds.png"
    assert not coarse.exists()
    convert_cityscapes(tmp_path, coarse=True, workers=1)
    assert (read(coarse) == 255).all()


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"objects": []}', b"\xff\xfe",
                                     b'{"imgHeight": 1, "imgWidth": 1, "objects": [{}]}'])
def test_broken_cityscapes_annotation_is_named(tmp_path, content):
    folder = tmp_path / "gtFine/train/town"
    make_cityscapes(folder, "b_gtFine_polygons.json", [square("road", 0, 7)])
    (folder / "a_gtFine_polygons.json").write_bytes(content)
    report = convert_cityscapes(tmp_path, workers=1)
    assert report.converted == 1
    (source, reason), = report.failed
    assert source.name == "a_gtFine_polygons.json" and "Error:" not in reason
