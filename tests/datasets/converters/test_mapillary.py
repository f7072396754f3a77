"""Conversion of Mapillary labels to Cityscapes classes; halving of images and labels."""

import os

import cv2
import numpy as np
import pytest
from label_files import (
    MAPILLARY_NAMES,
    MAPILLARY_TRAIN_IDS,
    make_mapillary,
    read,
    save_palette,
)
from PIL import Image, JpegImagePlugin

from rein.datasets.converters.jobs import Report
from rein.datasets.converters.mapillary import convert_mapillary, halve_mapillary
from rein.datasets.label_maps import CITYSCAPES_ID_TO_TRAIN_ID, lookup_table
from rein.errors import UserError


@pytest.mark.parametrize("nested", [False, True])
def test_both_mapillary_layouts_give_the_same_labels(tmp_path, nested):
    make_mapillary(tmp_path, MAPILLARY_NAMES, nested=nested)
    out = tmp_path / "out"
    assert convert_mapillary(tmp_path, out, workers=1) == Report(2, 0, ())
    expected = MAPILLARY_TRAIN_IDS.reshape(6, 11)
    assert (read(out / "train/label/a.png") == expected).all()
    assert (read(out / "val/label/b.png") == expected[::-1]).all()


def test_mapillary_ids_follow_the_order_of_the_config(tmp_path):
    make_mapillary(tmp_path, MAPILLARY_NAMES[::-1], nested=False)
    convert_mapillary(tmp_path, tmp_path / "out", workers=1)
    expected = MAPILLARY_TRAIN_IDS[::-1].reshape(6, 11)
    assert (read(tmp_path / "out/train/label/a.png") == expected).all()


def test_mapillary_cityscapes_ids_mean_the_same_as_train_ids(tmp_path):
    make_mapillary(tmp_path, MAPILLARY_NAMES, nested=False)
    convert_mapillary(tmp_path, tmp_path / "ids", train_ids=False, workers=1)
    ids = read(tmp_path / "ids/train/label/a.png")
    assert ids.max() <= 33  # 255 is not a Cityscapes label id
    train_ids = lookup_table(CITYSCAPES_ID_TO_TRAIN_ID)[ids]
    assert (train_ids == MAPILLARY_TRAIN_IDS.reshape(6, 11)).all()


def test_other_mapillary_versions_are_rejected(tmp_path):
    make_mapillary(tmp_path, ["Ambiguous Barrier", *MAPILLARY_NAMES], nested=False)
    with pytest.raises(UserError, match="config.json.*Ambiguous Barrier.*v1.2"):
        convert_mapillary(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_mapillary_encodings_are_never_mixed_in_one_folder(tmp_path):
    make_mapillary(tmp_path, MAPILLARY_NAMES, nested=False)
    out = tmp_path / "out"
    convert_mapillary(tmp_path, out, train_ids=False, workers=1)
    with pytest.raises(UserError, match="contains ids, not trainIds"):
        convert_mapillary(tmp_path, out, train_ids=True, workers=1)
    assert convert_mapillary(tmp_path, out, overwrite=True, workers=1).converted == 2
    assert (read(out / "train/label/a.png") == MAPILLARY_TRAIN_IDS.reshape(6, 11)).all()
    assert convert_mapillary(tmp_path, out, workers=1).skipped == 2


@pytest.mark.parametrize("changed", ["config.json", "out/encoding.txt"])
def test_mapillary_labels_made_before_a_change_are_redone(tmp_path, changed):
    make_mapillary(tmp_path, MAPILLARY_NAMES, nested=False)
    convert_mapillary(tmp_path, tmp_path / "out", workers=1)
    assert convert_mapillary(tmp_path, tmp_path / "out", workers=1).skipped == 2
    later = (tmp_path / changed).stat().st_mtime + 60
    os.utime(tmp_path / changed, (later, later))
    assert convert_mapillary(tmp_path, tmp_path / "out", workers=1).converted == 2


@pytest.mark.parametrize(("height", "width"), [(8, 12), (7, 13)])
def test_halves_are_exact_block_means_and_first_pixels(tmp_path, height, width):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 19, (height, width), np.uint8)
    pixels = rng.integers(0, 256, (height, width, 3), np.uint8)
    save_palette(tmp_path / "labels/a.png", labels)
    (tmp_path / "images").mkdir()
    Image.fromarray(pixels).save(tmp_path / "images/a.png")
    folders = [tmp_path / name for name in ("images", "labels", "half_images", "half_labels")]
    assert halve_mapillary(*folders, workers=1) == Report(1, 0, ())
    even = pixels[: height // 2 * 2, : width // 2 * 2]
    expected = cv2.resize(even, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    assert (np.asarray(Image.open(folders[2] / "a.png")) == expected).all()
    half = read(folders[3] / "a.png")
    assert half.shape == (height // 2, width // 2)
    assert all(half[y, x] == labels[2 * y, 2 * x] for y, x in np.ndindex(*half.shape))


def test_halved_jpeg_keeps_its_name_and_look(tmp_path):
    smooth = np.linspace(0, 255, 64 * 96 * 3).reshape(64, 96, 3).astype(np.uint8)
    (tmp_path / "images").mkdir()
    Image.fromarray(smooth).save(tmp_path / "images/a.JPG", "JPEG", quality=95)
    save_palette(tmp_path / "labels/a.png", np.zeros((64, 96), np.uint8))
    out = tmp_path / "half/images"
    halve_mapillary(tmp_path / "images", tmp_path / "labels", out, tmp_path / "half/labels",
                    workers=1)
    with Image.open(out / "a.JPG") as image:
        assert (image.format, image.size) == ("JPEG", (48, 32))
        assert JpegImagePlugin.get_sampling(image) == 0  # full colour resolution
        difference = np.abs(np.asarray(image).astype(int) - smooth[::2, ::2])
    assert difference.mean() < 4


def test_halving_names_pairs_that_do_not_fit(tmp_path):
    images, labels = tmp_path / "images", tmp_path / "labels"
    images.mkdir()
    for name in ("good", "larger", "unlabelled"):
        Image.new("RGB", (8, 8 if name != "larger" else 10)).save(images / f"{name}.jpg")
    for name in ("good", "larger", "imageless"):
        save_palette(labels / f"{name}.png", np.zeros((8, 8), np.uint8))
    report = halve_mapillary(images, labels, tmp_path / "i", tmp_path / "l", workers=1)
    assert report.converted == 1
    assert [source.stem for source, _ in report.failed] == ["imageless", "larger", "unlabelled"]
    assert "8x10" in report.failed[1][1]


def test_halving_turns_photos_as_loading_does(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    (tmp_path / "images").mkdir()
    Image.new("RGB", (8, 6)).save(tmp_path / "images/a.jpg", exif=exif)
    save_palette(tmp_path / "labels/a.png", np.zeros((8, 6), np.uint8))
    folders = [tmp_path / name for name in ("images", "labels", "i", "l")]
    assert halve_mapillary(*folders, workers=1).converted == 1
    with Image.open(tmp_path / "i/a.jpg") as image:
        assert image.size == (3, 4) and not image.getexif()


def test_two_images_of_one_name_are_named(tmp_path):
    (tmp_path / "images").mkdir()
    for suffix in ("jpg", "png"):
        Image.new("RGB", (8, 8)).save(tmp_path / f"images/x.{suffix}")
    save_palette(tmp_path / "labels/x.png", np.zeros((8, 8), np.uint8))
    with pytest.raises(UserError, match=r"images: both x\.jpg and x\.png. Remove one"):
        halve_mapillary(tmp_path / "images", tmp_path / "labels", tmp_path / "i", tmp_path / "l")


def test_halving_never_overwrites_its_input(tmp_path):
    with pytest.raises(UserError, match="both input and output"):
        halve_mapillary(tmp_path, tmp_path / "l", tmp_path / "x" / "..", tmp_path / "o")
