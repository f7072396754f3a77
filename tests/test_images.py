"""Images are read as testing reads them; anything that is no image is named."""

import cv2
import mmcv
import numpy as np
import pytest
import torch
from PIL import Image

from rein.errors import UserError
from rein.images import as_rgb, read_image


def test_images_are_read_as_in_testing(tmp_path):
    picture = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)
    turned = Image.Exif()
    turned[0x0112] = 6  # orientation: the camera was upright
    for name, pixels in (("photo.jpg", picture), ("grey.png", picture[..., 0])):
        Image.fromarray(pixels).save(tmp_path / name, exif=turned)
        expected = mmcv.imread(str(tmp_path / name), channel_order="rgb")
        assert np.array_equal(read_image(tmp_path / name), expected)
        assert np.array_equal(as_rgb(str(tmp_path / name)), expected)
        assert as_rgb(Image.open(tmp_path / name)).shape == (60, 40, 3)


def test_a_tensor_is_an_image_with_its_channels_first():
    picture = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    assert np.array_equal(as_rgb(torch.from_numpy(picture).permute(2, 0, 1)), picture)
    assert as_rgb(picture) is picture


@pytest.mark.parametrize("pixels", [
    np.ones((4, 6), np.float32), np.ones((4, 6, 3), np.float32), np.ones((4, 6), np.int32)])
def test_pixels_of_other_than_8_or_16_bits_are_named(tmp_path, pixels):
    path = str(tmp_path / "depth.tif")
    cv2.imwrite(path, pixels)
    with pytest.raises(UserError, match=f"depth.tif: has {pixels.dtype} pixels; expected 8 or 16"):
        read_image(path)
    cv2.imwrite(path, np.full((4, 6, 3), 0x1234, np.uint16))
    assert (read_image(path) == 0x12).all()


@pytest.mark.parametrize("image, message", [
    ("missing.png", "missing.png: no such image"), (np.zeros((8, 8), np.uint8), "expected RGB"),
    (np.zeros((8, 8, 3)), "expected RGB"), (3, "an image of type int"),
    (torch.zeros(3, 8, 8), "the tensor has shape .* torch.float32"),
    (Image.new("I;16", (8, 8)), "mode 'I;16'"), (Image.new("RGB", (0, 5)), "has no pixels"),
    (torch.zeros(3, 8, 8, dtype=torch.uint8, device="meta"), "device meta"),
    (np.full((8, 8, 3), np.nan), "float64.*values in .0, 1. first times 255"),
    (torch.rand(3, 8, 8), "values in .0, 1. first times 255"),
    (np.zeros((8, 8, 4), np.uint8), "Drop the alpha channel"),
    (np.zeros((2, 8, 8, 3), np.uint8), "Pass several images as a list"), ("", "is empty")])
def test_a_wrong_image_is_named(image, message):
    with pytest.raises(UserError, match=message):
        as_rgb(image)


@pytest.mark.parametrize("name, keep", [("photo.jpg", 0.5), ("photo.png", 0.5), ("photo.tif", 0.9)])
def test_a_truncated_pil_image_is_named_once_its_pixels_load(tmp_path, name, keep):
    path = tmp_path / name
    picture = np.random.default_rng(0).integers(0, 255, (90, 90, 3), np.uint8)
    Image.fromarray(picture).save(path)
    content = path.read_bytes()
    opened = Image.open(path)
    path.write_bytes(content[:int(len(content) * keep)])
    with pytest.raises(UserError, match=rf"{name}: does not decode \(.*truncated"):
        as_rgb(opened)
    opened.close()
    with pytest.raises(UserError, match="closed"):
        as_rgb(opened)
