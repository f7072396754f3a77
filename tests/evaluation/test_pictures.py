"""Pictures of predictions have exact colours, and the hook writes the documented files."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.registry import HOOKS
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from PIL import Image

from rein.datasets.image_folders import ImageFolders
from rein.datasets.label_maps import CLASSES, PALETTE
from rein.evaluation.pictures import SheetRow, color_map, contact_sheet, error_map, overlay

SEG_MAP = np.array([[0, 13], [255, 18]])


def test_each_class_has_its_colour_and_ignored_pixels_are_black():
    assert color_map(SEG_MAP).tolist() == [
        [list(PALETTE[0]), list(PALETTE[13])], [[0, 0, 0], list(PALETTE[18])]]


def test_overlay_mixes_colours_and_leaves_ignored_pixels():
    image = np.full((2, 2, 3), 100, np.uint8)
    mixed = overlay(image, SEG_MAP, alpha=0.25)
    assert mixed[0, 0].tolist() == [round(75 + 0.25 * c) for c in PALETTE[0]]
    assert mixed[1, 0].tolist() == [100, 100, 100]
    assert np.array_equal(overlay(image, SEG_MAP, alpha=0), image)
    assert np.array_equal(overlay(image, SEG_MAP % 19, alpha=1), color_map(SEG_MAP % 19))
    with pytest.raises(ValueError, match=r"\(2, 2\).*\(4, 2\)"):
        overlay(image, np.zeros((4, 2), int))


def test_error_map_marks_wrong_pixels_only():
    errors = error_map(np.array([[0, 1], [2, 18]]), SEG_MAP)
    assert errors[0, 0].tolist() == errors[1, 1].tolist() == [255, 255, 255]
    assert errors[1, 0].tolist() == [0, 0, 0]
    assert errors[0, 1, 0] > errors[0, 1, 1]


def test_sheet_shows_every_picture_and_legend_colour(tmp_path):
    rng = np.random.default_rng(0)
    wide, tall = (rng.integers(0, 256, (*size, 3), np.uint8) for size in ((50, 100), (100, 50)))
    flat = np.full((50, 100, 3), (1, 200, 3), np.uint8)
    rows = [SheetRow("Cityscapes", "mIoU 1.0", [wide, flat]), SheetRow("Map", "", [tall, tall])]
    contact_sheet(rows, ("image", "truth"), tmp_path / "new/sheet.png", "Title")
    sheet = np.array(Image.open(tmp_path / "new/sheet.png"))
    colours = {tuple(pixel) for pixel in sheet.reshape(-1, 3).tolist()}
    assert {*PALETTE, (1, 200, 3)} <= colours
    assert (sheet == (1, 200, 3)).all(-1).sum() == 360 * 180
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["sheet.png"]


@pytest.fixture
def runner():
    dataset = SimpleNamespace(metainfo=dict(classes=CLASSES, palette=[list(c) for c in PALETTE]))
    return SimpleNamespace(test_dataloader=SimpleNamespace(dataset=dataset))


def predicted(folder, domain, name, size=(20, 40), labelled=True):
    path = folder / f"{name}.jpg"
    Image.fromarray(np.full((20, 40, 3), ord(name), np.uint8)).save(path)
    sample = SegDataSample(pred_sem_seg=PixelData(data=torch.full((1, *size), 13)))
    if labelled:
        sample.gt_sem_seg = PixelData(data=torch.full((1, *size), 10))
    sample.set_metainfo(dict(img_path=str(path), domain=domain))
    return sample


@pytest.mark.parametrize("kwargs, columns", [({}, 3), (dict(errors=True), 4)])
def test_hook_saves_each_sample_and_one_sheet(tmp_path, runner, kwargs, columns):
    hook = HOOKS.build(dict(type="PredictionPictures", out_dir=str(tmp_path / "out"), **kwargs))
    hook.before_test_epoch(runner)
    hook.after_test_iter(runner, 0, {}, [
        predicted(tmp_path, "citys", "b"), predicted(tmp_path, "citys", "a")])
    hook.after_test_iter(runner, 1, {}, [predicted(tmp_path, "acdc_night", "c", (40, 80))])
    assert not (tmp_path / "out/sheet.png").exists()
    hook.after_test_epoch(runner, metrics=dict(citys_mIoU=12.3, mean_mIoU=12.3))
    names = {str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*.png")}
    assert names == {"sheet.png", "citys/a.png", "citys/b.png", "acdc_night/c.png"}
    strip = np.array(Image.open(tmp_path / "out/acdc_night/c.png"))
    assert strip.shape == (40, columns * 80, 3)  # the label's size
    assert strip[0, 80].tolist() == list(PALETTE[10])
    assert strip[0, 160].tolist() == list(PALETTE[13])


def test_pictures_keep_the_tree(tmp_path, runner, monkeypatch):
    folders = {"citys": ImageFolders(str(tmp_path), str(tmp_path))}
    monkeypatch.setattr("rein.evaluation.pictures.image_folders", lambda dataset: folders)
    hook = HOOKS.build(dict(type="PredictionPictures", out_dir=str(tmp_path / "out")))
    for town in ("ulm", "bonn"):
        (tmp_path / town).mkdir()
        hook.after_test_iter(runner, 0, {}, [predicted(tmp_path / town, "citys", "a")])
    assert sorted(path.parent.name for path in (tmp_path / "out").rglob("a.png")) == ["bonn", "ulm"]


def test_hook_needs_no_labels(tmp_path, runner):
    hook = HOOKS.build(dict(type="PredictionPictures", out_dir=str(tmp_path / "out")))
    hook.after_test_iter(runner, 0, {}, [predicted(tmp_path, "own", "a", labelled=False)])
    hook.after_test_epoch(runner)
    assert Image.open(tmp_path / "out/own/a.png").size == (80, 20)
    assert (tmp_path / "out/sheet.png").exists()


def test_sheet_shows_the_first_samples_by_path(tmp_path, runner, monkeypatch):
    from rein.evaluation import pictures
    drawn = []
    monkeypatch.setattr(pictures, "contact_sheet", lambda rows, *args: drawn.extend(rows))
    hook = HOOKS.build(dict(type="PredictionPictures", out_dir=str(tmp_path / "out"), samples=2))
    for name, domain in (("d", "citys"), ("b", "map"), ("c", "citys"), ("a", "citys")):
        hook.after_test_iter(runner, 0, {}, [predicted(tmp_path, domain, name)])
    hook.after_test_epoch(runner, metrics=dict(map_mIoU=55.55))
    found = [(row.name, row.note, chr(row.images[0][0, 0, 0])) for row in drawn]
    assert found == [
        ("Cityscapes", "", "a"), ("Cityscapes", "", "c"), ("Mapillary", "mIoU 55.5", "b")]


def test_mmseg_scope_finds_the_hook():
    from mmseg.registry import HOOKS as MMSEG_HOOKS
    assert MMSEG_HOOKS.get("PredictionPictures") is HOOKS.get("PredictionPictures")
