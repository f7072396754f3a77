"""Converters: every raw format becomes trainIds; broken files are named, finished ones skipped."""

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from label_files import make_gta, read, save_palette
from PIL import Image, JpegImagePlugin
from rein.datasets.converters.statistics import count_pixels

from rein.datasets.converters.cityscapes import convert_cityscapes
from rein.datasets.converters.gta import convert_gta
from rein.datasets.converters.jobs import (
    Report,
)
from rein.datasets.converters.mapillary import convert_mapillary, halve_mapillary
from rein.datasets.converters.synthia import convert_synthia
from rein.datasets.converters.urbansyn import convert_urbansyn
from rein.datasets.label_maps import (
    CITYSCAPES_ID_TO_TRAIN_ID,
    MAPILLARY_LABELS,
    SYNTHIA_ID_TO_TRAIN_ID,
    lookup_table,
)
from rein.errors import UserError

MAPILLARY_NAMES = [name for name, _ in MAPILLARY_LABELS]
MAPILLARY_TRAIN_IDS = np.array([train_id for _, train_id in MAPILLARY_LABELS], np.uint8)


def make_mapillary(root: Path, names: list[str], *, nested: bool) -> None:
    """Write one label per split, holding every id of the config, in either published layout."""
    config, folder = ("config_v1.2.json", "v1.2/labels") if nested else ("config.json", "labels")
    ids = np.arange(66, dtype=np.uint8).reshape(6, 11)
    save_palette(root / f"training/{folder}/a.png", ids)
    save_palette(root / f"validation/{folder}/b.png", ids[::-1].copy())
    (root / config).write_text(json.dumps({"labels": [{"readable": name} for name in names]}))


def make_cityscapes(folder: Path, name: str, objects: list[dict]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    annotation = {"imgHeight": 4, "imgWidth": 8, "objects": objects}
    (folder / name).write_text(json.dumps(annotation))
    return folder / name


def square(label: str, left: int, right: int, **more) -> dict:
    return {"label": label, "polygon": [[left, 0], [right, 0], [right, 3], [left, 3]], **more}


# formats


def test_gta_palette_ids_become_train_ids(tmp_path):
    label, = make_gta(tmp_path, count=1)
    before = label.read_bytes()
    assert convert_gta(tmp_path, workers=1) == Report(1, 0, ())
    expected = [CITYSCAPES_ID_TO_TRAIN_ID.get(i, 255) for i in range(256)]
    assert read(tmp_path / "labels/00000_labelTrainIds.png").reshape(-1).tolist() == expected
    assert label.read_bytes() == before


def test_gta_label_of_another_size_than_its_image_is_named(tmp_path):
    labels = make_gta(tmp_path, count=3)
    (tmp_path / "images").mkdir()
    Image.new("RGB", (32, 8)).save(tmp_path / "images/00000.png")
    Image.new("RGB", (32, 9)).save(tmp_path / "images/00001.png")
    report = convert_gta(tmp_path, workers=1)
    assert (report.converted, [source for source, _ in report.failed]) == (2, [labels[1]])
    assert "32x8" in report.failed[0][1] and "32x9" in report.failed[0][1]
    assert not (tmp_path / "labels/00001_labelTrainIds.png").exists()


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
def test_cityscapes_broken_annotation_is_named(tmp_path, content):
    folder = tmp_path / "gtFine/train/town"
    make_cityscapes(folder, "b_gtFine_polygons.json", [square("road", 0, 7)])
    (folder / "a_gtFine_polygons.json").write_bytes(content)
    report = convert_cityscapes(tmp_path, workers=1)
    assert report.converted == 1
    (source, reason), = report.failed
    assert source.name == "a_gtFine_polygons.json" and "Error:" not in reason


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
    assert result == [SYNTHIA_ID_TO_TRAIN_ID.get(i, 255) for i in range(256)]


def test_synthia_map_is_the_datasets(reference):
    facts = json.loads((reference / "label_maps.json").read_text())["synthia_id_to_trainid"]
    assert {str(i): t for i, t in SYNTHIA_ID_TO_TRAIN_ID.items()} == {
        key: value for key, value in facts.items() if key != "_about"}


def test_synthia_label_of_8_bits_or_another_size_is_named(tmp_path):
    label = make_synthia(tmp_path, np.zeros((8, 32)), image_size=(32, 9))
    (_, reason), = convert_synthia(tmp_path, workers=1).failed
    assert "32x8" in reason and "32x9" in reason
    Image.new("RGB", (32, 9)).save(label)
    (_, reason), = convert_synthia(tmp_path, workers=1).failed
    assert "expected a PNG of 16-bit RGB" in reason


def test_urbansyn_labels_take_their_images_names_and_19_is_ignored(tmp_path):
    ids = np.array([[*range(20), 255]], np.uint8)
    save_palette(tmp_path / "ss/ss_0001.png", ids)
    (tmp_path / "rgb").mkdir()
    Image.new("RGB", (21, 1)).save(tmp_path / "rgb/rgb_0001.png")
    assert convert_urbansyn(tmp_path, workers=1) == Report(1, 0, ())
    result = read(tmp_path / "labels/rgb_0001_labelTrainIds.png")
    assert result.tolist() == [[*range(19), 255, 255]]
    save_palette(tmp_path / "ss/ss_0001.png", ids + 13)  # 255 wraps around to 12
    (_, reason), = convert_urbansyn(tmp_path, workers=1, overwrite=True).failed
    assert reason.startswith("label values 20, 21, 22")


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (40, 30)])
def test_counting_by_runs_equals_counting_by_pixels(shape):
    rng = np.random.default_rng(0)
    for highest in (1, 3, 256):
        labels = rng.integers(0, highest, shape, np.uint8)
        values, counts = np.unique(labels, return_counts=True)
        assert count_pixels(labels) == dict(zip(values.tolist(), counts.tolist(), strict=True))


def test_class_pixels_are_counted_in_what_was_converted_and_what_was_there(tmp_path):
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


@pytest.mark.parametrize("nested", [False, True])
def test_both_mapillary_layouts_give_the_same(tmp_path, nested):
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
    assert ids.max() <= 33  # 255 is no Cityscapes label id
    train_ids = lookup_table(CITYSCAPES_ID_TO_TRAIN_ID)[ids]
    assert (train_ids == MAPILLARY_TRAIN_IDS.reshape(6, 11)).all()


def test_mapillary_of_another_version_is_refused(tmp_path):
    make_mapillary(tmp_path, ["Ambiguous Barrier", *MAPILLARY_NAMES], nested=False)
    with pytest.raises(UserError, match="config.json.*Ambiguous Barrier.*v1.2"):
        convert_mapillary(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_mapillary_encodings_are_never_mixed_in_one_folder(tmp_path):
    make_mapillary(tmp_path, MAPILLARY_NAMES, nested=False)
    out = tmp_path / "out"
    convert_mapillary(tmp_path, out, train_ids=False, workers=1)
    with pytest.raises(UserError, match="holds ids, not trainIds"):
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


def test_halving_never_overwrites_its_input(tmp_path):
    with pytest.raises(UserError, match="both input and output"):
        halve_mapillary(tmp_path, tmp_path / "l", tmp_path / "x" / "..", tmp_path / "o")


@pytest.mark.parametrize(("convert", "url"), [
    (convert_gta, "download.visinf.tu-darmstadt.de"),
    (convert_synthia, "synthia-dataset.net"),
    (convert_urbansyn, "urbansyn.org"),
    (convert_cityscapes, "cityscapes-dataset.com"),
    (lambda root: convert_mapillary(root, root / "out"), "mapillary.com"),
    (lambda root: halve_mapillary(root, root / "l", root / "i", root / "o"), "no .jpg"),
])
def test_missing_dataset_tells_path_layout_and_source(tmp_path, convert, url):
    with pytest.raises(UserError) as error:
        convert(tmp_path / "nowhere")
    message = str(error.value)
    assert message.startswith(str(tmp_path / "nowhere")) and "Expected" in message
    assert url in message and "\n" not in message
