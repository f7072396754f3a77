"""Image lists, truncated and turned image files."""

import io

import numpy as np
import pytest
from PIL import Image

from rein.datasets.image_files import LISTS, is_cut_short, list_file, turned_size

NOISE = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)


def encoded(kind, **options):
    content = io.BytesIO()
    Image.fromarray(NOISE).save(content, kind, **options)
    return content.getvalue()


def with_thumbnail():
    """A JPEG that begins like a camera's: its EXIF segment contains a small JPEG."""
    exif = b"Exif\0\0" + encoded("JPEG", quality=10)
    return encoded("JPEG", exif=exif)


@pytest.mark.parametrize("whole", [
    encoded("PNG"), encoded("JPEG"), encoded("JPEG", progressive=True), with_thumbnail()])
def test_a_truncated_file_is_found_and_trailing_bytes_are_allowed(tmp_path, whole):
    path = tmp_path / "image"
    for data, cut in (
        (whole, False), (whole + b"more", False), (whole + bytes(100_000), False),
        (whole[:-1], True), (whole[:-20], True), (whole[:len(whole) // 2], True), (whole[:8], True),
    ):
        path.write_bytes(data)
        assert is_cut_short(path) == cut, len(data)
    assert not is_cut_short(tmp_path / "nowhere")


@pytest.mark.parametrize("orientation, size", [
    (None, (6, 4)), (1, (6, 4)), (3, (6, 4)), (6, (4, 6)), (8, (4, 6))])
def test_the_size_of_a_turned_photo_is_that_of_the_loaded_image(tmp_path, orientation, size):
    exif = Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    Image.new("RGB", (6, 4)).save(tmp_path / "a.jpg", exif=exif)
    with Image.open(tmp_path / "a.jpg") as image:
        assert turned_size(image) == size


def test_a_list_in_the_data_root_takes_precedence_over_the_shipped_one(tmp_path):
    name = "cityscapes_1of16.txt"
    assert list_file(tmp_path, name) == LISTS / name
    (tmp_path / name).touch()
    assert list_file(tmp_path, name) == tmp_path / name
    assert list_file(tmp_path, "mine.txt") == tmp_path / "mine.txt"
