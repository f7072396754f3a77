"""The wheel works in an environment of its own, from an empty folder, without the checkout."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, build
from fake_segmentor import write_image
from mmengine.config import Config
from PIL import Image

from rein import __version__
from rein import checkpoint as ckpt

MAIN = "rein_dinov2_mask2former_512x512_bs1x4"
CAMVID = "rein_lite0_mask2former_288x288"
SOURCES = (
    "rein", "configs", "tools", "setup.py", "MANIFEST.in", "README.md", "LICENSE")
OPTIONS = ("--no-deps", "--no-build-isolation", "--disable-pip-version-check", "-q")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Build the wheel from a copy, as building leaves folders behind."""
    root = tmp_path_factory.mktemp("source")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(
                ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, root)
    run(sys.executable, "-m", "pip", "wheel", *OPTIONS, "-w", root / "dist", root)
    path, = (root / "dist").glob("*.whl")
    return path


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory) -> Path:
    """Install the wheel in an environment that finds the other packages in this one's folder."""
    root = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", root)
    run(sys.executable, "-m", "pip", "--python", root / "bin/python", "install", *OPTIONS[:1],
        *OPTIONS[2:], wheel)
    packages, = root.glob("lib/python*/site-packages")
    # a plain line adds the folder alone, not the checkouts that its own .pth files name
    (packages / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return root


def run(*words, cwd=None, code=0) -> subprocess.CompletedProcess:
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([*map(str, words)], cwd=cwd, env=env, capture_output=True, text=True)
    assert done.returncode == code, done.stdout[-2000:] + done.stderr[-3000:]
    return done


def test_the_wheel_carries_configs_tools_and_lists(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    carried = {name.removeprefix("rein/.mim/") for name in names if name.startswith("rein/.mim/")}
    assert {f"configs/dinov2/{MAIN}.py", "tools/predict.py", "tools/dist_train.sh",
            "tools/convert_models/convert_backbone.py"} <= carried
    assert "rein/datasets/lists/cityscapes_1of16.txt" in names
    assert not [name for name in names if re.search("toy/|make_toy|quickstart|benchmark", name)]
    for name in carried:
        if name.startswith("configs/"):
            for base in bases(ROOT / name):
                assert base.relative_to(ROOT).as_posix() in carried, (name, base)


def bases(config: Path) -> list[Path]:
    """Return the files that a config inherits from."""
    text = re.search(r"^_base_ = (\[.*?\]|\".*?\")$", config.read_text(), re.M | re.S)
    return [(config.parent / name).resolve()
            for name in re.findall(r'"(.+?\.py)"', text[1] if text else "")]


def test_the_command_works_from_an_empty_folder(environment, tmp_path):
    rein, python = environment / "bin/rein", environment / "bin/python"
    assert run(rein, "--version", cwd=tmp_path).stdout == f"rein {__version__}\n"
    done = run(rein, "train", MAIN, "--help", cwd=tmp_path)
    assert done.stdout.startswith("usage: rein train ")
    done = run(python, "-c", "import rein.paths as p; print(p.REPOSITORY, "
               f"p.find_config({MAIN!r}))", cwd=tmp_path)
    place, config = done.stdout.split()
    assert place.startswith(str(environment)) and place.endswith("/rein/.mim")
    assert config == f"{place}/configs/dinov2/{MAIN}.py"
    done = run(rein, "train", "rein_dinov2_mask2former", cwd=tmp_path, code=1)
    assert re.fullmatch("error: .*no such config. Similar: configs/.*\n", done.stderr)
    assert not list(tmp_path.iterdir())


@pytest.fixture
def world(tmp_path):
    """Return an empty folder; beside it, a tiny CamVid and random weights of its backbone."""
    folder, data = tmp_path / "folder", tmp_path / "datasets/camvid_small"
    rng = np.random.default_rng(0)
    for split in ("day_train", "day_val", "other_day", "dusk"):
        label = np.kron(rng.integers(0, 11, (6, 8)), np.ones((60, 60))).astype(np.uint8)
        for kind, suffix, pixels in (
                ("images", "jpg", np.stack([label * 20] * 3, -1)), ("labels", "png", label)):
            path = data / kind / split / f"0.{suffix}"
            path.parent.mkdir(parents=True)
            Image.fromarray(pixels).save(path)
    cfg = Config.fromfile(ROOT / "configs/camvid/frozen_lite0_mask2former_288x288.py")
    backbone = cfg.model.backbone
    weights = build(dict(backbone, init_cfg=None)).state_dict()
    ckpt.save_file(dict(state_dict=weights), folder / backbone.init_cfg.checkpoint)
    return folder


@pytest.mark.faults
def test_training_by_name_testing_and_predicting_write_to_the_folder_alone(environment, world):
    rein = environment / "bin/rein"
    before = sorted(environment.rglob("*.py"))
    run(rein, "train", CAMVID, "--data", "../datasets", "--cfg-options", "train_cfg.max_iters=2",
        "train_dataloader.batch_size=1", "train_dataloader.num_workers=0",
        "train_dataloader.persistent_workers=False", cwd=world)
    trained = f"work_dirs/{CAMVID}/iter_2.pth"
    assert (world / trained).is_file()
    done = run(rein, "test", CAMVID, trained, "--data", "../datasets", cwd=world)
    assert "mean_mIoU" in done.stdout
    write_image(world / "photos/a/x.jpg", size=(90, 120))
    done = run(rein, "predict", trained, "photos", cwd=world)
    assert done.stdout.endswith("1 predicted, 0 finished before, 0 failed; results written to "
                                "predictions/iter_2\n")
    assert (world / "predictions/iter_2/labels/a/x.jpg.png").is_file()
    assert sorted(path.name for path in world.iterdir()) == [
        "checkpoints", "photos", "predictions", "work_dirs"]
    assert sorted(environment.rglob("*.py")) == before
