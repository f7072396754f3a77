"""Cityscapes-C: images are the same everywhere and cached on request."""

import sys

import numpy as np
import pytest
from conftest import ROOT
from mmengine.config import Config
from PIL import Image
from torch.utils.data import DataLoader

from rein.datasets import corruptions
from rein.datasets.corruptions import CORRUPTIONS, SEVERITIES, Corrupt
from rein.errors import UserError

IMAGE = np.kron(np.random.default_rng(0).integers(0, 256, (4, 8, 3)), np.ones((16, 16, 1)))
IMAGE = IMAGE.astype(np.uint8)


@pytest.fixture(autouse=True)
def no_cache(monkeypatch):
    monkeypatch.delenv(corruptions.CACHE_VARIABLE, raising=False)


@pytest.fixture
def library():
    pytest.importorskip("imagecorruptions", reason="the optional library is not installed")
    pytest.importorskip("numba", reason="the optional library is not installed")


def results(path="data/a.png"):
    return dict(img=IMAGE.copy(), img_path=str(path))


@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_corruption_depends_only_on_image_kind_and_severity(library, corruption):
    np.random.seed(5)
    before = np.random.get_state()[1].copy()
    first = Corrupt(corruption, 2)(results())["img"]
    assert (np.random.get_state()[1] == before).all()  # the global generator is untouched
    np.random.seed(6)
    assert (Corrupt(corruption, 2)(results("elsewhere/a.png"))["img"] == first).all()
    assert first.dtype == np.uint8 and first.shape == IMAGE.shape
    assert (first != IMAGE).any()
    assert (Corrupt(corruption, 5)(results())["img"] != first).any()


@pytest.mark.parametrize("corruption", ["gaussian_noise", "impulse_noise", "glass_blur", "frost"])
def test_each_image_is_corrupted_differently(library, corruption):
    first, second = (Corrupt(corruption, 3)(results(name))["img"] for name in ("a.png", "b.png"))
    assert (first != second).any()


def test_colour_channels_are_corrupted_in_order(library):
    """Loaded images are BGR, the library takes RGB: saturation must not swap red and blue."""
    red = np.zeros((64, 64, 3), np.uint8)
    red[..., 2] = 200
    result = Corrupt("brightness", 1)(dict(img=red, img_path="a.png"))["img"].mean((0, 1))
    assert result[2] > 200 and result[0] == result[1] < 100


def test_cached_images_are_read_back_and_kept_apart_by_folder(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(corruptions, "corrupt", lambda image, *_: calls.append(1) or 255 - image)
    step = Corrupt("fog", 1, cache_dir=str(tmp_path))
    fresh, again = (step(results("x/a.png"))["img"] for _ in range(2))
    assert len(calls) == 1 and (fresh == 255 - IMAGE).all() and (again == fresh).all()
    step(results("y/a.png"))
    assert len(calls) == 2
    assert {Image.open(path).size for path in tmp_path.glob("fog/1/*.png")} == {(128, 64)}


def test_environment_variable_sets_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv(corruptions.CACHE_VARIABLE, str(tmp_path))
    monkeypatch.setattr(corruptions, "corrupt", lambda image, *_: image)
    Corrupt("fog", 2)(results())
    assert len(list(tmp_path.glob("fog/2/*.png"))) == 1


def test_missing_library_error_gives_the_install_commands(monkeypatch):
    monkeypatch.setitem(sys.modules, "imagecorruptions", None)
    with pytest.raises(UserError, match="--no-deps imagecorruptions-imaug"):
        Corrupt("fog", 1)  # before a model is built


def test_missing_library_is_one_line_in_a_loader_worker(tmp_path, monkeypatch):
    """With a cache folder, only the first image that is not in it shows that it is needed."""
    monkeypatch.setitem(sys.modules, "imagecorruptions", None)
    step = Corrupt("fog", 1, cache_dir=str(tmp_path))
    batches = iter(DataLoader([results()], num_workers=1, collate_fn=lambda items: step(items[0])))
    with pytest.raises(UserError, match="^corrupted images need the library") as error:
        next(batches)
    batches._shutdown_workers()  # leaving it to the garbage collector takes 5 s
    assert "\n" not in str(error.value)


def test_unknown_corruptions_are_rejected():
    for corruption, severity in (("rain", 1), ("fog", 0), ("fog", 6)):
        with pytest.raises(UserError, match=f"{corruption} of severity {severity}"):
            Corrupt(corruption, severity)


def test_cityscapes_c_is_all_corruptions_at_full_size():
    cfg = Config.fromfile(ROOT / "configs/_base_/datasets/dg_citys2citysc_512x512.py")
    parts = cfg.test_dataloader.dataset.datasets
    assert [part.domain for part in parts] == [
        f"citys_{name}_{severity}" for name in CORRUPTIONS for severity in SEVERITIES]
    assert [step.type for step in parts[0].pipeline[:3]] == [
        "LoadImageFromFile", "Corrupt", "Resize"]
    assert cfg.val_dataloader.dataset.domain == "citys"
