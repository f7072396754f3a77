"""Label PNGs: portable, mapped like indexing; lossy and stretched images are rejected."""

import zlib

import cv2
import numpy as np
import pytest
from label_files import read
from PIL import Image

from rein.datasets.converters.label_pngs import encode_label_image, map_labels, read_label_ids


@pytest.mark.parametrize("shape", [(1, 1), (5, 7), (64, 33)])
def test_label_images_read_the_same_everywhere(tmp_path, shape):
    labels = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    path = tmp_path / "label.png"
    path.write_bytes(encode_label_image(labels))
    assert (read(path) == labels).all() and (read_label_ids(path) == labels).all()
    assert (cv2.imread(str(path), cv2.IMREAD_UNCHANGED) == labels).all()


def test_mapping_equals_indexing():
    rng = np.random.default_rng(2)
    table, ids = rng.integers(0, 256, 256, np.uint8), rng.integers(0, 256, (9, 14), np.uint8)
    assert (map_labels(ids[:, ::2], table) == table[ids[:, ::2]]).all()


def test_images_without_ids_are_rejected(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "rgb.png")
    Image.new("L", (4, 4)).save(tmp_path / "lossy.png", "JPEG")
    Image.new("1", (4, 4)).save(tmp_path / "bits.png")
    for name in ("rgb", "lossy", "bits"):
        with pytest.raises(ValueError, match="expected a PNG of label ids"):
            read_label_ids(tmp_path / f"{name}.png")


def test_four_bit_gray_is_rejected_rather_than_stretched(tmp_path):
    path = tmp_path / "gray4.png"
    ok, content = cv2.imencode(".png", np.zeros((2, 2), np.uint8))
    data = bytearray(content.tobytes())
    data[24] = 4  # bit depth in the header
    data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, "big")
    path.write_bytes(data)
    with pytest.raises(ValueError, match="8-bit gray"):
        read_label_ids(path)
