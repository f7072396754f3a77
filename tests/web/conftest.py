"""Shared by the tests of the page: an image."""

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def street(tmp_path):
    """A bright sky above a grey road."""
    pixels = np.full((128, 192, 3), 200, np.uint8)
    pixels[64:] = 90
    Image.fromarray(pixels).save(tmp_path / "street.png")
    return tmp_path / "street.png"
