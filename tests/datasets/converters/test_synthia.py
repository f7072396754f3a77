"""Conversion of 16-bit SYNTHIA labels to trainIds."""

import json
from pathlib import Path

import cv2
import numpy as np
from label_files import read
from PIL import Image

from rein.datasets.converters.jobs import Report
from rein.datasets.converters.synthia import convert_synthia
from rein.datasets.descriptions import SYNTHIA


def make_synthia(root: Path, ids: np.ndarray, image_size: tuple[int, int] | None = None) -> Path:
    """Write a label as SYNTHIA does: 16-bit PNG, ids in red, instances up to 65535 in green."""
    (root / "GT/LABELS").mkdir(parents=True)
    instances = np.random.default_rng(0).integers(0, 65536, ids.shape, np.uint16)
    label = np.stack([np.zeros_like(instances), instances, ids.astype(np.uint16)], -1)  # BGR
    assert cv2.imwrite(str(root / "GT/LABELS/0000000.png"), label)
    if image_size:
        (root / "RGB").mkdir()
        Image.new("RGB", image_size).save(root / "RGB/0000000.png")
    return root / "GT/LABELS/0000000.png"


def test_synthia_ids_are_the_red_channel_of_16_bit_labels(tmp_path):
    make_synthia(tmp_path, np.arange(256).reshape(8, 32), image_size=(32, 8))
    assert convert_synthia(tmp_path, workers=1) == Report(1, 0, ())
    result = read(tmp_path / "GT/LABELS/0000000_labelTrainIds.png").reshape(-1).tolist()
    assert result == [SYNTHIA.label_map.get(i, 255) for i in range(256)]


def test_synthia_label_map_is_the_published_one(reference):
    facts = json.loads((reference / "label_maps.json").read_text())["synthia_id_to_trainid"]
    assert {str(i): t for i, t in SYNTHIA.label_map.items()} == {
        key: value for key, value in facts.items() if key != "_about"}


def test_synthia_label_with_8_bits_or_another_size_is_named(tmp_path):
    label = make_synthia(tmp_path, np.zeros((8, 32)), image_size=(32, 9))
    (_, reason), = convert_synthia(tmp_path, workers=1).failed
    assert "32x8" in reason and "32x9" in reason
    Image.new("RGB", (32, 9)).save(label)
    (_, reason), = convert_synthia(tmp_path, workers=1).failed
    assert "expected a 16-bit RGB PNG" in reason


def test_synthia_ids_above_255_never_wrap(tmp_path):
    make_synthia(tmp_path, np.full((8, 32), 259))  # 3 modulo 256: a road
    (_, reason), = convert_synthia(tmp_path, workers=1).failed
    assert "expected at most 255" in reason
