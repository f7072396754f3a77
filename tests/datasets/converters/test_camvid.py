"""Conversion of CamVid's colours to 11 classes, and the half-size frames of the experiment."""

import json

import numpy as np
import pytest
from commands import run_tool
from conftest import ROOT
from label_files import read
from mmengine.config import Config
from mmengine.registry import init_default_scope
from PIL import Image
from scenes import write

from rein.datasets.building import build_dataset
from rein.datasets.check import check_datasets
from rein.datasets.converters.camvid import convert_camvid, small_splits
from rein.datasets.converters.jobs import Report
from rein.datasets.descriptions import CAMVID
from rein.datasets.descriptions.camvid import COLORS, GROUPS
from rein.errors import UserError

NAMES = ("0001TP_006690", "0006R0_f00930", "0006R0_f00960", "0016E5_00390", "Seq05VD_f00000")
TOOL = ROOT / "tools/convert_datasets/camvid.py"
CONFIGS = ROOT / "configs/_base_/datasets"


@pytest.fixture
def home(tmp_path):
    """A folder with the published layout; each label shows all 32 colours, 4x4 pixels each."""
    folder = tmp_path / "camvid"
    colors = np.array([*COLORS.values()], np.uint8).reshape(4, 8, 3)
    for name in NAMES:
        write(folder / f"701_StillsRaw_full/{name}.png", np.full((16, 32, 3), 99))
        write(folder / f"LabeledApproved_full/{name}_L.png", np.kron(colors, np.ones((4, 4, 1))))
    return folder


def test_colours_become_the_classes_of_their_groups_and_void_is_ignored(home):
    assert convert_camvid(home, workers=1) == Report(5, 0, ())
    label = read(home / "labels/0001TP_006690.png")
    assert label.shape == (16, 32)
    classes = list(GROUPS)
    for color, train_id in zip(COLORS, label[::4, ::4].flat, strict=True):
        group = 255 if color == "Void" else next(
            i for i, one in enumerate(classes) if color in GROUPS[one])
        assert train_id == group, color
    counts = json.loads((home / "labels/class_pixels.json").read_text())
    assert list(counts["classes"]) == classes and counts["ignored"] == 5 * 16


def test_groups_hold_every_label_but_void_once():
    grouped = [label for labels in GROUPS.values() for label in labels]
    assert len(grouped) == 31 and {*grouped, "Void"} == {*COLORS}
    assert len({*COLORS.values()}) == 32
    assert CAMVID.palette[:4] == (
        (128, 128, 128), (128, 0, 0), (192, 192, 128), (128, 64, 128))


def test_a_label_with_an_unknown_colour_is_named_and_not_written(home):
    path = home / "LabeledApproved_full/0016E5_00390_L.png"
    pixels = np.array(Image.open(path))
    pixels[0, 0] = (1, 2, 3)
    write(path, pixels)
    report = convert_camvid(home, workers=1)
    assert report.failed == ((path, "1 colours that CamVid's labels lack: #010203"),)
    assert not (home / "labels/0016E5_00390.png").exists() and report.converted == 4


def test_a_folder_without_camvid_is_an_error_with_the_layout(tmp_path):
    with pytest.raises(UserError, match="no CamVid labels found. Expected .*701_StillsRaw_full"):
        convert_camvid(tmp_path)
    assert not list(tmp_path.iterdir())


def test_drives_are_domains_with_eleven_classes(home):
    convert_camvid(home, workers=1)
    init_default_scope("mmseg")
    cfg = Config.fromfile(CONFIGS / "camvid.py")
    lengths = {}
    for name in ("train_camvid_0006R0", "train_camvid_0016E5", "val_camvid_0001TP",
                 "val_camvid_Seq05VD"):
        dataset = build_dataset(dict(cfg[name], data_root=f"{home}/"))
        lengths[dataset.domain] = len(dataset)
        assert dataset.metainfo["classes"] == list(GROUPS)
    assert lengths == {
        "camvid_0006R0": 2, "camvid_0016E5": 1, "camvid_0001TP": 1, "camvid_Seq05VD": 1}
    assert dataset[0]["inputs"].shape == (3, 480, 960)  # fits 960x720


def test_the_check_counts_drives_and_asks_for_the_conversion(home):
    problems = [report.problems for report in check_datasets(home.parent, workers=1)]
    assert len(problems) == 4 and all("camvid.py" in one for one, in problems)
    convert_camvid(home, workers=1)
    reports = check_datasets(home.parent, any_count=True, workers=1)
    assert [(report.images, report.problems) for report in reports] == [
        (2, ()), (1, ()), (1, ()), (1, ())]
    write(home / "labels/0001TP_006690.png", np.full((16, 32), 11))
    broken = check_datasets(home.parent, any_count=True, workers=1)[2].problems
    assert "contains 11, expected 0-10 and 255" in broken[0]


def test_small_frames_are_halved_and_load_by_split(home, tmp_path):
    out = tmp_path / "small"
    done = run_tool(TOOL, home, "--small", out, "--workers", 1)
    assert done.stdout.splitlines()[-1] == (
        f"5 converted, 0 skipped, 0 failed: {out}/{{images,labels}}/*/*")
    names = sorted(path.relative_to(out).as_posix() for path in out.rglob("*.jpg"))
    assert names == [
        "images/day_train/0006R0_f00960.jpg", "images/day_train/0016E5_00390.jpg",
        "images/day_val/0006R0_f00930.jpg", "images/dusk/0001TP_006690.jpg",
        "images/other_day/Seq05VD_f00000.jpg"]
    init_default_scope("mmseg")
    cfg = Config.fromfile(CONFIGS / "dg_camvid_288x288.py")
    parts = [cfg.train_dataloader.dataset, cfg.val_dataloader.dataset,
             *cfg.test_dataloader.dataset.datasets]
    sizes = {}
    for part in parts:
        dataset = build_dataset(dict(part, data_root=f"{out}/"))
        sizes[dataset.domain] = len(dataset)
        assert Image.open(dataset[0]["data_samples"].img_path).size == (16, 8)
    assert sizes == dict(day_train=2, day_val=1, other_day=1, dusk=1)
    assert cfg.test_evaluator.dataset_keys == ["other_day", "dusk"]


def test_the_split_of_the_experiment_holds_out_every_eighth_day_frame():
    names = [f"0006R0_f{i:05}" for i in range(930, 3931, 30)]
    names += [f"0016E5_{i:05}" for i in range(305)]
    names += [f"Seq05VD_f{i:05}" for i in range(171)] + [f"0001TP_{i:06}" for i in range(124)]
    splits = small_splits(names[::-1])
    assert {split: len(chosen) for split, chosen in splits.items()} == {
        "day_train": 222, "day_val": 32, "other_day": 70, "dusk": 60}
    assert splits["day_val"][12:14] == ["0006R0_f03810", "0016E5_00006"]
