"""Kinds of bad input: what is damaged, and the command that reads it.

Each kind prepares a folder from the intact world and names the way of damage.
"""

import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import NamedTuple

import numpy as np
import torch
from commands import run_tool
from conftest import ROOT
from faults.bad_world import config_source, copy_parts, tiny_config
from faults.mutations import JUNK, change_value, damage, unusual_image
from PIL import Image

CANARY = "canary"
"""A file that only code hidden in data would create."""


class Kind(NamedTuple):
    """A kind of bad input.

    Attributes:
        name: What is damaged, and what reads it.
        cases: How many the long test tries.
        prepare: (world, folder, rng) -> way of damage; fills the folder.
        command: folder -> completed command, as from `run_tool`.
    """

    name: str
    cases: int
    prepare: Callable[[Path, Path, Random], str]
    command: Callable[[Path], object]


def tool(name: str, *arguments: str) -> Callable[[Path], object]:
    """Return a command that runs a tool in the prepared folder."""
    return lambda folder: run_tool(ROOT / "tools" / name, *arguments, cwd=folder, check=False)


# ---------------------------------------------------------------------------------- images, labels
def image_files(parts: tuple[str, ...], victim: str) -> Callable:
    """Damage one image or label file."""
    def prepare(world: Path, folder: Path, rng: Random) -> str:
        copy_parts(world, folder, *parts)
        path = folder / victim
        if rng.random() < 0.5:
            return damage(path, rng)
        path.write_bytes(unusual_image(path.read_bytes(), rng))
        return "unusual image"

    return prepare


def segment(folder: Path) -> object:
    """Segment one image through the Python interface."""
    script = folder / "segment.py"
    script.write_text(
        "from rein.cli import run_cli\n"
        "def main():\n"
        "    import rein\n"
        "    model = rein.init_segmentor('weights/merged.pth', 'weights/merged.pth')\n"
        "    print(rein.segment(model, 'street0.jpg').shape)\n"
        "run_cli(main)\n")
    return run_tool(script, cwd=folder, check=False)


# -------------------------------------------------------------------------------------- structures
def polygons(world: Path, folder: Path, rng: Random) -> str:
    copy_parts(world, folder, "cityscapes")
    path = folder / "cityscapes/gtFine/val/town/town_0_gtFine_polygons.json"
    if rng.random() < 0.3:
        return damage(path, rng)
    if rng.random() < 0.1:
        path.write_text("[" * 100_000 + "]" * rng.choice((0, 100_000)))
        return "deep nesting"
    if rng.random() < 0.1:
        content = json.loads(path.read_text()) | dict(imgWidth=10**rng.randrange(3, 12))
        path.write_text(json.dumps(content))
        return "huge size"
    junk = (*JUNK, [[1e30, 1e30], [0, 0], [-1e30, 5]], [[1, 2]], [[1, 2, 3]] * 3, [[0, 0]] * 10**4)
    path.write_text(json.dumps(change_value(json.loads(path.read_text()), rng, junk)))
    return "changed value"


def mapillary(world: Path, folder: Path, rng: Random) -> str:
    copy_parts(world, folder, "mapillary")
    path = folder / rng.choice(("mapillary/config.json", "mapillary/training/labels/a.png"))
    if path.suffix == ".png" and rng.random() < 0.5:
        path.write_bytes(unusual_image(path.read_bytes(), rng))
        return "unusual image"
    if path.suffix == ".png" or rng.random() < 0.4:
        return damage(path, rng)
    path.write_text(json.dumps(change_value(json.loads(path.read_text()), rng)))
    return "changed value"


def results(world: Path, folder: Path, rng: Random) -> str:
    copy_parts(world, folder, "runs")
    path = folder / "runs/a" / rng.choice(("results.json", "results.npz"))
    if path.suffix == ".npz" or rng.random() < 0.3:
        if rng.random() < 0.3:
            arrays = dict(np.load(folder / "runs/a/results.npz"))
            name = rng.choice(sorted(arrays))
            arrays[name] = rng.choice((np.array([Spy(folder)], object), np.zeros(3),
                                       np.full((2, 19, 19), -1), np.array("x"), arrays[name][:1]
                                       if arrays[name].ndim else arrays[name]))
            np.savez(folder / "runs/a/results.npz", **arrays)
            return "changed array"
        return damage(path, rng)
    path.write_text(json.dumps(change_value(json.loads(path.read_text()), rng)))
    return "changed value"


# ------------------------------------------------------------------------------------- checkpoints
class Spy:
    """An object whose unpickling runs code."""

    def __init__(self, folder: Path):
        self.target = str(folder / CANARY)

    def __reduce__(self):
        return os.system, (f"touch {self.target}",)


def evil_text(folder: Path) -> str:
    """Return the text of a config that would run code."""
    return f"__import__('os').system('touch {folder / CANARY}')\nmodel = dict(type='x')\n"


def checkpoint(name: str) -> Callable:
    """Damage the bytes or the content of a checkpoint."""
    def prepare(world: Path, folder: Path, rng: Random) -> str:
        copy_parts(world, folder, "weights", "gta")
        path = folder / "weights" / name
        way = rng.random()
        if way < 0.4:
            return damage(path, rng)
        if path.suffix == ".safetensors":
            data = path.read_bytes()
            size = rng.choice((2**60, 2**31, 0, 5, len(data), 10**8))
            path.write_bytes(size.to_bytes(8, "little") + data[8:])
            return "huge header"
        if way < 0.5:
            return _unusual_archive(path, folder, rng)
        content = torch.load(path, weights_only=True)
        junk = (*JUNK, Spy(folder), torch.zeros(2, 3), torch.full((1,), torch.nan),
                torch.zeros(2, dtype=torch.int8), np.zeros(3), evil_text(folder),
                "a = " + "(" * 10_000, "a = " + "-" * 10_000 + "1", "a = inf", "a = [*b]", "1 = 2",
                "custom_hooks = [dict(type='HookOfTheAuthors')]", "\x00", "model = 3", "model = {}")
        torch.save(_changed(content, rng, junk), path)
        return "changed value"

    return prepare


def _changed(content: dict, rng: Random, junk: tuple) -> dict:
    """Change one value of a checkpoint, often its `meta`."""
    if "meta" in content and rng.random() < 0.6:
        content = dict(content, meta=dict(content["meta"]))
        content["meta"][rng.choice(("cfg", "cfg", "cfg", *content["meta"]))] = rng.choice(junk)
        return content
    if rng.random() < 0.1:
        return rng.choice(junk)
    return change_value(content, rng, junk)


def _unusual_archive(path: Path, folder: Path, rng: Random) -> str:
    """Write a checkpoint of another format, or a zip bomb."""
    way = rng.choice(("pickle", "pickled code", "zip bomb", "deep nesting", "not a dict"))
    if way == "pickle":
        path.write_bytes(pickle.dumps({"a": [1, 2, {}]}, protocol=rng.randrange(6)))
    elif way == "pickled code":
        path.write_bytes(pickle.dumps({"state_dict": Spy(folder)}, protocol=rng.randrange(6)))
    elif way == "zip bomb":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in ("archive/data.pkl", "archive/version", "archive/data/0"):
                archive.writestr(name, bytes(200_000_000))
    elif way == "deep nesting":
        with zipfile.ZipFile(path) as archive:
            entries = {name: archive.read(name) for name in archive.namelist()}
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in entries.items():
                nest = b"\x80\x02" + b"]" * 10**6 + b"a" * (10**6 - 1) + b"."
                archive.writestr(name, nest if name.endswith("data.pkl") else content)
    else:
        torch.save(rng.choice(([], 3, torch.zeros(3), None, "x", {})), path)
    return way


# ----------------------------------------------------------------------------------------- configs
def config(world: Path, folder: Path, rng: Random) -> str:
    copy_parts(world, folder, "weights", "gta", "config")
    path = folder / "config/tiny.py"
    way = rng.random()
    if way < 0.15:
        return damage(path, rng)
    if way < 0.3:
        path.write_text(rng.choice((
            "_base_ = 'tiny.py'", "_base_ = ['a.py']", "_base_ = 3", "_base_ = []", "_base_ = '.'",
            "x = " + "(" * 3000, "x = " + "[" * 90 + "]" * 90, "raise SystemExit", "1 / 0",
            "while", "import nowhere", "model = dict(type='EncoderDecoder')", "model = dict()",
            "model = dict(_delete_=True)", "a = lambda: 1", "_base_ = '../gta/images/0.png'",
            "model = dict(type='{{ fileBasename }}')", "x = '\ud7ff'", "custom_imports = 3",
            "custom_imports = dict(imports=['nowhere'])", "import os\nos", "model = open")))
        return "unusual text"
    values = change_value(tiny_config("gta").to_dict(), rng)
    path.write_text(config_source(values))
    return "changed value"


# -------------------------------------------------------------------------------------------- zips
def zips(world: Path, folder: Path, rng: Random) -> str:
    copy_parts(world, folder, "zip")
    path = folder / "zip/acdc.zip"
    if rng.random() < 0.5:
        return damage(path, rng)
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    victim = rng.choice(sorted(files))
    way = rng.choice(("image", "image", "name", "bomb", "many", "twice", "nested"))
    if way == "image":
        files[victim] = unusual_image(files[victim], rng)
    elif way == "bomb":
        files[victim] = bytes(500_000_000)
    elif way == "nested":
        files[victim] = path.read_bytes()
    elif way == "many":
        files |= {f"{i}/": b"" for i in range(20_000)}
    elif way == "name":
        files[rng.choice(("../../x.png", "/etc/x.png", "a" * 60_000, "\u00e9\n.png", "x"))] = (
            files.pop(victim))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
            if way == "twice":
                archive.writestr(name, content)
    return way


def prediction(world: Path, folder: Path, rng: Random) -> str:
    """Damage one of the predictions to pack."""
    for i in range(2):
        target = folder / f"predictions/GOPR0475_frame_00004{i}_rgb_anon.png"
        target.parent.mkdir(exist_ok=True)
        Image.fromarray(np.full((20, 30), i, np.uint8)).save(target)
    if rng.random() < 0.5:
        return damage(target, rng)
    target.write_bytes(unusual_image(target.read_bytes(), rng))
    return "unusual image"



_IMAGE, _LABEL, _RAW = (
    "gta/images/0.png", "gta/labels/0_labelTrainIds.png", "gta/labels/0.png")
_TEST = tool("test.py", "config/tiny.py", "weights/merged.pth", "--work-dir", "work")
_TRAIN = tool("train.py", "config/tiny.py", "--work-dir", "work")
_ALL = "gta", "weights", "config"
_RESIZE = tool("convert_datasets/mapillary_resize.py", "gta/images", "gta/trainids", "out/i",
               "out/l", "--workers", "1")


def _renamed(world: Path, folder: Path, rng: Random) -> str:
    """Damage an image or label for halving, which pairs files of one name."""
    way = image_files(("gta",), rng.choice((_IMAGE, _LABEL)))(world, folder, rng)
    (folder / "gta/trainids").mkdir()
    for path in (folder / "gta/labels").glob("*_labelTrainIds.png"):
        path.rename(folder / "gta/trainids" / path.name.replace("_labelTrainIds", ""))
    return way




def warm_up(world: Path, folder: Path) -> None:
    """Run commands on intact files, which must succeed, in this process."""
    copy_parts(world, folder, *_ALL)
    for command in _TRAIN, _TEST:
        done = command(folder)
        assert done.returncode == 0, done.stderr[-3000:]


KINDS = (
    Kind("image: check", 80, image_files(("gta",), _IMAGE),
         tool("check_datasets.py", ".", "--any-count", "--workers", "1")),
    Kind("image: cache", 60, image_files(("gta", "config"), _IMAGE),
         tool("cache_dataset.py", "config/tiny.py", "cache", "--workers", "1")),
    Kind("image: segment", 80, image_files(("street0.jpg", "weights"), "street0.jpg"), segment),
    Kind("image: test", 40, image_files(_ALL, _IMAGE), _TEST),
    Kind("image: train", 40, image_files(_ALL, _IMAGE), _TRAIN),
    Kind("label: convert", 80, image_files(("gta",), _RAW),
         tool("convert_datasets/gta.py", "gta", "--workers", "1", "--overwrite")),
    Kind("label: check", 70, image_files(("gta",), _LABEL),
         tool("check_datasets.py", ".", "--any-count", "--workers", "1")),
    Kind("label: test", 40, image_files(_ALL, _LABEL), _TEST),
    Kind("label: train", 40, image_files(_ALL, _LABEL), _TRAIN),
    Kind("pair: halve", 60, _renamed, _RESIZE),
    Kind("polygons: convert", 120, polygons,
         tool("convert_datasets/cityscapes.py", "cityscapes", "--workers", "1")),
    Kind("mapillary: convert", 80, mapillary,
         tool("convert_datasets/mapillary2cityscape.py", "mapillary", "out", "--train_id",
              "--workers", "1")),
    Kind("checkpoint: inspect", 100, checkpoint("merged.pth"),
         tool("inspect_checkpoint.py", "weights/merged.pth", "--keys")),
    Kind("safetensors: inspect", 60, checkpoint("merged.safetensors"),
         tool("inspect_checkpoint.py", "weights/merged.safetensors")),
    Kind("checkpoint: convert", 60, checkpoint("original.pth"),
         tool("convert_models/convert_dinov2.py", "weights/original.pth", "out.pth")),
    Kind("checkpoint: split", 50, checkpoint("merged.pth"),
         tool("split_weights.py", "weights/merged.pth", "--backbone", "b.pth", "--rein_head",
              "r.pth")),
    Kind("checkpoint: merge", 60, checkpoint("adapter.pth"),
         tool("generate_full_weights.py", "--dinov2_segmentor_path", "out.pth", "--backbone",
              "weights/original.pth", "--rein_head", "weights/adapter.pth")),
    Kind("checkpoint: test", 60, checkpoint("merged.pth"),
         tool("test.py", "weights/merged.pth", "weights/merged.pth", "--work-dir", "work")),
    Kind("config: train", 140, config, _TRAIN),
    Kind("zip: check", 80, zips, tool("make_submission.py", "acdc", "zip/acdc.zip")),
    Kind("prediction: pack", 50, prediction,
         tool("make_submission.py", "acdc", "predictions", "out.zip")),
    Kind("results: compare", 80, results, tool("compare.py", "runs/a", "runs/b", "--draws", "50")),
)
