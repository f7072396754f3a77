"""Cached files equal their sources, are never outdated, and are complete or absent."""

import errno
import os
import runpy
import shutil
import sys

import numpy as np
import pytest
from conftest import ROOT
from mmengine.registry import DefaultScope
from PIL import Image

import rein  # noqa: F401  fills the registries
from rein.datasets import cache
from rein.datasets.building import build_dataset, files_of
from rein.datasets.sample_checks import CorruptFile
from rein.errors import UserError


@pytest.fixture
def root(tmp_path):
    """Two images with labels: a PNG and a JPEG."""
    rng = np.random.default_rng(0)
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    for i in range(2):
        image = Image.fromarray(rng.integers(0, 256, (30 + i, 50, 3), np.uint8))
        image.save(tmp_path / f"images/{i}.img", ["PNG", "JPEG"][i])
        label = Image.fromarray(rng.integers(0, 19, (30 + i, 50), np.uint8))
        label.save(tmp_path / f"labels/{i}.png")
    return tmp_path


def dataset(root):
    pipeline = [dict(type="LoadImageFromFile"), dict(type="LoadAnnotations")]
    with DefaultScope.overwrite_default_scope("mmseg"):
        return build_dataset(dict(
            type="UrbanSceneDataset", domain="own", data_root=str(root), img_suffix=".img",
            data_prefix=dict(img_path="images", seg_map_path="labels"), seg_map_suffix=".png",
            pipeline=pipeline, serialize_data=False))  # serializing takes 0.2 s


def test_cached_samples_equal_decoded_ones_bit_for_bit(root, tmp_path, monkeypatch):
    plain = dataset(root)
    expected = [plain[i] for i in range(2)]
    report = cache.cache_files(files_of(plain), tmp_path / "cache", workers=2)
    assert report == (4, 0, ())
    monkeypatch.setenv(cache.CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr("mmcv.imfrombytes", None)  # decoding would fail
    cached = dataset(root)
    for i in range(2):
        sample = cached[i]
        assert sample.keys() == expected[i].keys() >= {"img", "gt_seg_map"}
        for key, value in sample.items():
            assert np.array_equal(value, expected[i][key]), key
        sample["img"][:] = 0  # as a later step may do
    assert np.array_equal(cached[0]["img"], expected[0]["img"])


def test_the_command_caches_every_source_of_a_config(root, tmp_path, monkeypatch, capsys):
    parts = [dict(
        type=kind, data_root=str(root), data_prefix=dict(img_path="images", seg_map_path=labels),
        img_suffix=".img", seg_map_suffix=".png", pipeline=[])
        for kind, labels in (("UrbanSceneDataset", "labels"), ("CityscapesDataset", "more"))]
    parts[0]["domain"] = "own"
    shutil.copytree(root / "labels", root / "more")
    (tmp_path / "union.py").write_text(
        f"train_dataloader = dict(dataset=dict(type='ConcatDataset', datasets={parts}))")
    # the folder is missing, as when README steps are run in the other order
    monkeypatch.setenv(cache.CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "argv", ["", str(tmp_path / "union.py"), str(tmp_path / "cache")])
    monkeypatch.setattr(sys, "path", list(sys.path))
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(ROOT / "tools/cache_dataset.py"), run_name="__main__")
    assert end.value.code == 0
    assert f"6 written, 0 kept, 0 failed in {tmp_path}/cache" in capsys.readouterr().out


def test_a_second_run_writes_only_what_is_missing_changed_or_damaged(root, tmp_path):
    files, folder = files_of(dataset(root)), tmp_path / "cache"
    cache.cache_files(files, folder, workers=1)
    assert cache.cache_files(files, folder, workers=1) == (0, 4, ())
    made = sorted(folder.rglob("*.raw"))
    made[0].unlink()
    made[1].write_bytes(made[1].read_bytes()[:-1])
    os.utime(root / "labels/0.png", ns=(1, 1))
    assert cache.cache_files(files, folder, workers=1) == (3, 1, ())


@pytest.mark.parametrize("change", ["newer", "longer", "cut", "other layout"])
def test_outdated_or_foreign_cache_files_are_not_used(root, tmp_path, monkeypatch, change):
    monkeypatch.setenv(cache.CACHE_VARIABLE, str(tmp_path))
    said = []
    monkeypatch.setattr(cache, "print_log", lambda text, *_: said.append(text))
    data = dataset(root)
    cache.cache_files(files_of(data), tmp_path, workers=1)
    source, made = root / "images/0.img", next(tmp_path.rglob("0.img.raw"))
    state = source.stat()
    if change == "newer":
        Image.new("RGB", (50, 30)).save(source, "PNG")
    elif change == "longer":
        source.write_bytes(source.read_bytes() + b"\0")
        os.utime(source, ns=(state.st_atime_ns, state.st_mtime_ns))
    else:
        content = made.read_bytes()
        made.write_bytes(content[:-1] if change == "cut" else b"reinraw0" + content[8:])
    with Image.open(source) as picture:
        expected = np.asarray(picture)[..., ::-1]
    for _ in range(2):
        assert np.array_equal(data[0]["img"], expected)
    assert len(said) == 1 and "images/0.img has changed since" in said[0]


def test_a_broken_file_is_named_and_the_others_are_cached(root, tmp_path, monkeypatch):
    files = files_of(dataset(root))
    path = root / "images/0.img"
    path.write_bytes(path.read_bytes()[:-30])
    report = cache.cache_files(files, tmp_path / "cache", workers=1)
    assert report == (3, 0, ((str(path), "the file is truncated"),))
    monkeypatch.setenv(cache.CACHE_VARIABLE, str(tmp_path / "cache"))
    cached = dataset(root)
    with pytest.raises(CorruptFile, match=r"images/0\.img: the image does not decode"):
        cached[0]
    (root / "images/1.img").unlink()
    with pytest.raises(CorruptFile, match=r"images/1\.img: no such file"):
        cached[1]


def test_a_full_disk_is_reported_in_one_line_and_leaves_no_part(root, tmp_path, monkeypatch):
    def full(path, content):
        raise OSError(errno.ENOSPC, "No space left on device")
    files = files_of(dataset(root))
    monkeypatch.setattr(cache, "write_atomically", full)
    with pytest.raises(UserError, match="No space left on device.. Finished"):
        cache.cache_files(files, tmp_path / "cache", workers=1)
    assert not list(tmp_path.rglob("*.raw"))


def test_a_missing_cache_or_one_that_is_not_a_folder_is_rejected(root, tmp_path, monkeypatch):
    files = files_of(dataset(root))
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="file: cannot be written"):
        cache.cache_files(files, tmp_path / "file", workers=1)
    monkeypatch.setenv(cache.CACHE_VARIABLE, str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match="nowhere: no such folder.*cache_dataset.py"):
        dataset(root)


def test_a_loading_step_with_other_options_bypasses_the_cache(root, tmp_path, monkeypatch):
    data = dataset(root)
    cache.cache_files(files_of(data), tmp_path / "cache", workers=1)
    monkeypatch.setenv(cache.CACHE_VARIABLE, str(tmp_path / "cache"))
    with DefaultScope.overwrite_default_scope("mmseg"):
        grey = build_dataset(dict(
            type="UrbanSceneDataset", domain="own", data_root=str(root), img_suffix=".img",
            data_prefix=dict(img_path="images"),
            pipeline=[dict(type="LoadImageFromFile", color_type="grayscale")]))
    assert grey[0]["img"].shape == (30, 50)


def test_files_with_the_same_name_are_kept_apart(root, tmp_path):
    shutil.copytree(root / "images", tmp_path / "other/images")
    shutil.copytree(root / "labels", tmp_path / "other/labels")
    Image.new("RGB", (5, 5)).save(tmp_path / "other/images/0.img", "PNG")
    for folder in (root, tmp_path / "other"):
        cache.cache_files(files_of(dataset(folder)), tmp_path / "cache", workers=1)
    assert cache.read(str(root / "images/0.img"), tmp_path / "cache", 3).shape == (30, 50, 3)
