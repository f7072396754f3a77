"""Image lists and truncated image files."""

import io

import numpy as np
import pytest
from PIL import Image

from rein.datasets.image_files import LISTS, is_cut_short, list_file


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_truncated_file_is_found_and_trailing_bytes_are_allowed(tmp_path, kind):
    content = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    Image.fromarray(noise).save(content, kind)
    whole, path = content.getvalue(), tmp_path / "image"
    for data, cut in ((whole, False), (whole + b"more", False), (whole[:-20], True)):
        path.write_bytes(data)
        assert is_cut_short(path) == cut
    assert not is_cut_short(tmp_path / "nowhere")


def test_a_list_in_the_data_root_takes_precedence_over_the_shipped_one(tmp_path):
    name = "cityscapes_1of16.txt"
    assert list_file(tmp_path, name) == LISTS / name
    (tmp_path / name).touch()
    assert list_file(tmp_path, name) == tmp_path / name
    assert list_file(tmp_path, "mine.txt") == tmp_path / "mine.txt"
