"""The toy street world has exact labels and raw formats, and its looks leave labels unchanged."""

import json
from pathlib import Path

import numpy as np
import pytest
from commands import run_tool
from PIL import Image

from rein.datasets.check import check_datasets
from rein.datasets.cityscapes_polygons import rasterize
from rein.datasets.converters.gta import convert_gta
from rein.datasets.converters.synthia import convert_synthia
from rein.datasets.converters.urbansyn import convert_urbansyn
from rein.datasets.descriptions import mapillary
from rein.datasets.label_maps import (
    CITYSCAPES_ID_TO_TRAIN_ID,
    CITYSCAPES_LABELS,
    CLASSES,
    PALETTE,
    lookup_table,
)
from rein.errors import UserError
from toy.streets.layout import sample_scene
from toy.streets.looks import LOOKS, sample_look
from toy.streets.make import DOMAINS, TRAIN_ONLY, make_sample, make_toy_streets
from toy.streets.weather import render

TOOL = Path(__file__).resolve().parents[2] / "tools/make_toy_streets.py"
COUNTS = {"gta": 2, "synthia": 1, "urbansyn": 1, "cityscapes": 1, "bdd100k": 1, "mapillary": 1,
          "acdc_night": 1, "unlabelled": 1}
TRAIN_IDS = lookup_table(CITYSCAPES_ID_TO_TRAIN_ID)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    root = tmp_path_factory.mktemp("toy")
    summary = make_toy_streets(root, COUNTS, workers=1)
    assert summary.skipped == 0
    return root


def files_of(root):
    return {str(path.relative_to(root)): path.read_bytes()
            for path in sorted(root.rglob("*")) if path.is_file()}


def only(root, pattern):
    """Return the pixels of the first label image that matches a pattern, and the image."""
    found = sorted(root.glob(pattern))
    assert found, pattern
    image = Image.open(found[0])
    return np.asarray(image), image


def test_same_seed_gives_same_bytes_for_any_number_of_processes(world, tmp_path):
    make_toy_streets(tmp_path, COUNTS, workers=2)
    assert files_of(tmp_path) == files_of(world)


def test_another_seed_gives_other_streets():
    first, second = (make_sample("gta", "train", 0, seed) for seed in (0, 1))
    assert (first.rgb != second.rgb).any() and (first.scene.labels != second.scene.labels).any()


def test_label_equals_the_rasterized_polygons(world):
    for path in world.glob("cityscapes/gtFine/*/*/*_polygons.json"):
        labels = np.asarray(Image.open(str(path).replace("polygons.json", "labelIds.png")))
        annotation = json.loads(path.read_text())
        assert (rasterize(annotation) == labels).all()
        names = {label.name for label in CITYSCAPES_LABELS}
        assert {item["label"] for item in annotation["objects"]} <= names
        corners = np.concatenate([item["polygon"] for item in annotation["objects"]])
        assert corners.min() >= 0
        assert (corners < (annotation["imgWidth"], annotation["imgHeight"])).all()


def test_every_pixel_is_labelled():
    for index in range(4):
        assert (make_sample("mapillary", "val", index, 0).scene.labels > 0).all()


@pytest.mark.faults
def test_every_class_occurs_in_many_images():
    scenes = [sample_scene(np.random.default_rng(i), "game", 480, 264) for i in range(80)]
    share = np.array([np.bincount(TRAIN_IDS[scene.labels].ravel(), minlength=256)[:19]
                      for scene in scenes]) / (480 * 264)
    seen = (share > .0005).mean(0)
    rare = {name: round(float(part), 2) for name, part in zip(CLASSES, seen, strict=True)
            if part < .15}
    assert not rare, f"in too few images: {rare}"


@pytest.mark.parametrize("name", LOOKS)
def test_looks_change_pixels_but_not_labels(name):
    scenes = [sample_scene(np.random.default_rng(3), "europe", 240, 120) for _ in range(2)]
    plain = render(scenes[0], sample_look("game", np.random.default_rng(0)),
                   np.random.default_rng(0))
    other = render(scenes[1], sample_look(name, np.random.default_rng(1)),
                   np.random.default_rng(0))
    assert (scenes[0].labels == scenes[1].labels).all()
    assert other.shape == (120, 240, 3) and other.dtype == np.uint8
    assert np.abs(plain.astype(int) - other).mean() > 4


def test_details_stay_inside_their_objects():
    """Changing one sign's colour changes pixels only at that sign."""
    look = sample_look("game", np.random.default_rng(0))
    pictures, masks = [], []
    for color in ((255, 0, 255), (0, 255, 0)):
        scene = sample_scene(np.random.default_rng(5), "game", 480, 264)
        signs = [shape for shape in scene.objects if shape.label == "traffic sign"]
        signs[-1].paint = color
        pictures.append(render(scene, look, np.random.default_rng(0)).astype(int))
        masks.append(scene.labels == 20)
    changed = np.abs(pictures[0] - pictures[1]).max(2) > 60
    assert changed.any() and (masks[0] == masks[1]).all()
    assert masks[0][changed].mean() > .9


def test_gta_labels_are_palette_pngs_of_cityscapes_ids(world):
    labels, image = only(world, "gta/labels/00001.png")
    assert image.mode == "P"
    assert set(np.unique(labels)) <= {label.id for label in CITYSCAPES_LABELS}
    road = Image.open(world / "gta/labels/00001.png").convert("RGB")
    assert (np.asarray(road)[labels == 7] == PALETTE[0]).all()
    assert Image.open(world / "gta/images/00001.png").size == image.size == (480, 264)


def test_mapillary_labels_follow_its_config(world):
    labels, image = only(world, "mapillary/validation/v1.2/labels/*.png")
    assert image.mode == "P" and len(next(world.glob("mapillary/validation/images/*")).stem) == 22
    config = json.loads((world / "mapillary/config_v1.2.json").read_text())["labels"]
    assert [item["readable"] for item in config] == [name for name, _ in mapillary.LABELS]
    assert {"name", "readable", "evaluate", "instances", "color"} <= set(config[0])
    expected = make_sample("mapillary", "val", 0, 0).scene.labels
    assert (lookup_table(mapillary.MAPILLARY.label_map)[labels] == TRAIN_IDS[expected]).all()


@pytest.mark.parametrize("pattern", [
    "bdd100k/labels/sem_seg/masks/val/*.png",
    "acdc/gt/night/val/*/*_gt_labelTrainIds.png"])
def test_masks_hold_train_ids(world, pattern):
    labels, image = only(world, pattern)
    assert image.mode == "L" and set(np.unique(labels)) <= {*range(19), 255}


def test_every_label_has_its_picture(world):
    stems = {path.stem for path in world.glob("bdd100k/images/10k/*/*.jpg")}
    assert stems == {path.stem for path in world.glob("bdd100k/labels/sem_seg/masks/*/*.png")}
    pictures = {path.name.replace("_rgb_anon", "") for path in
                world.glob("acdc/rgb_anon/night/val/*/*.png")}
    assert pictures == {path.name.replace("_gt_labelTrainIds", "") for path in
                        world.glob("acdc/gt/night/val/*/*.png")}
    assert list(world.glob("acdc/rgb_anon/night/test/*/*.png"))
    assert not list(world.glob("acdc/gt/*/test"))


def test_second_run_makes_only_what_is_missing(world):
    before = files_of(world)
    (world / "gta/labels/00002.png").unlink()
    next(world.rglob("*_fair.*")).unlink()
    assert make_toy_streets(world, COUNTS, workers=1).made == 2
    assert make_toy_streets(world, COUNTS, workers=1).made == 0
    assert files_of(world) == before


def test_invalid_arguments_raise(tmp_path):
    with pytest.raises(UserError, match="at least"):
        make_toy_streets(tmp_path, {"gta": 1}, workers=0)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot create this folder"):
        make_toy_streets(tmp_path / "file", {"gta": 1})


def test_every_sample_has_its_own_file_names():
    names = [tuple(DOMAINS[domain].files(Path(), "val", index, 0))
             for domain in DOMAINS if domain not in TRAIN_ONLY for index in range(30)]
    assert len(set(names)) == len(names)


def test_tool_reports_number_of_scenes_and_output_folder(tmp_path):
    counts = [f"--{name}=0" for name in ("cityscapes", "bdd", "mapillary", "acdc-night", "acdc")]
    result = run_tool(TOOL, tmp_path / "out", "--gta=1", *counts, cwd=tmp_path)
    last = result.stdout.strip().splitlines()[-1]
    assert last.startswith("1 street scenes made") and str(tmp_path / "out") in last
    assert (tmp_path / "out/gta/images/00001.png").exists()


@pytest.mark.parametrize("domain, convert, label", [
    ("gta", convert_gta, "gta/labels/00001_labelTrainIds.png"),
    ("synthia", convert_synthia, "synthia/GT/LABELS/0000000_labelTrainIds.png"),
    ("urbansyn", convert_urbansyn, "urbansyn/labels/rgb_0001_labelTrainIds.png")])
def test_source_labels_convert_to_the_scenes_train_ids(tmp_path, domain, convert, label):
    make_toy_streets(tmp_path, {domain: 1}, workers=1)
    assert convert(tmp_path / domain, workers=1).converted == 1
    expected = TRAIN_IDS[make_sample(domain, "train", 0, 0).scene.labels]
    assert (np.asarray(Image.open(tmp_path / label)) == expected).all()
    assert len(np.unique(expected)) > 5
    assert [report.problems for report in check_datasets(tmp_path, any_count=True, workers=1)] == [
        ()]
