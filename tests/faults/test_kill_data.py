"""Converters and caching: killed or failing at any moment, they leave only whole files.

Every command is killed at each of its writes and renames and at random moments, and repeated; the
end equals an undisturbed run, bit for bit. Every file operation fails once with each of three
errors: one clear line, a non-zero exit, and every file whole, old or new.
"""

import errno
import json
import random
import runpy
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest
from commands import run_tool
from conftest import ROOT
from faults.file_faults import KILL, file_faults, in_child
from label_files import MAPILLARY_NAMES, save_palette
from PIL import Image

ERRORS = (errno.ENOSPC, errno.EIO, errno.EACCES)
LABELS = [np.kron(np.random.default_rng(i).integers(0, 19, (8, 12), np.uint8),
                  np.ones((8, 8), np.uint8)) for i in range(3)]


def _image(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    Image.fromarray(noise).save(path)


def _make_gta(root: Path) -> None:
    for i, label in enumerate(LABELS):
        save_palette(root / f"labels/{i}.png", label)
        _image(root / f"images/{i}.png")


def _make_synthia(root: Path) -> None:
    for i, label in enumerate(LABELS):
        _image(root / f"RGB/{i}.png")
        path = root / f"GT/LABELS/{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.stack([label.astype(np.uint16)] * 3, -1))


def _make_cityscapes(root: Path) -> None:
    folder = root / "gtFine/val/town"
    folder.mkdir(parents=True)
    for i in range(3):
        objects = [dict(label="car", polygon=[[i, 0], [40, 9], [20, 30]])]
        (folder / f"{i}_gtFine_polygons.json").write_text(
            json.dumps(dict(imgHeight=64, imgWidth=96, objects=objects)))


def _make_mapillary(root: Path) -> None:
    for i, label in enumerate(LABELS):
        split = "training" if i else "validation"
        save_palette(root / f"{split}/labels/{i}.png", label)
    (root / "config.json").write_text(
        json.dumps(dict(labels=[dict(readable=name) for name in MAPILLARY_NAMES])))


def _make_halves(root: Path) -> None:
    for i, label in enumerate(LABELS[:2]):
        save_palette(root / f"labels/{i}.png", label)
        _image(root / f"images/{i}.jpg")


def _make_cache(root: Path) -> None:
    _make_gta(root)
    dataset = dict(type="UrbanSceneDataset", domain="own", data_root=str(root), img_suffix=".png",
                   seg_map_suffix=".png", serialize_data=False, pipeline=[],
                   data_prefix=dict(img_path="images", seg_map_path="labels"))
    (root / "config.py").write_text(f"train_dataloader = dict(dataset={dataset})")


class Work(NamedTuple):
    """One command: its tool, its arguments relative to the data, and a maker of the data."""

    tool: str
    arguments: list[str]
    make: Callable[[Path], None]


WORKS = {
    "gta": Work("convert_datasets/gta.py", [""], _make_gta),
    "synthia": Work("convert_datasets/synthia.py", [""], _make_synthia),
    "cityscapes": Work("convert_datasets/cityscapes.py", [""], _make_cityscapes),
    "mapillary": Work("convert_datasets/mapillary2cityscape.py", ["", "out"], _make_mapillary),
    "halves": Work("convert_datasets/mapillary_resize.py",
                   ["images", "labels", "i", "l"], _make_halves),
    "cache": Work("cache_dataset.py", ["config.py", "cache"], _make_cache),
}


class Bench:
    """A command on data of its own, which can be put back to its first state."""

    def __init__(self, work: Work, root: Path):
        self.root = root
        self.tool = str(ROOT / "tools" / work.tool)
        self.arguments = [str(root / part) for part in work.arguments]
        work.make(root)
        self.inputs = self.files()
        start = time.perf_counter()
        self.repeat()
        self.seconds = time.perf_counter() - start
        self.whole = self.files()

    def files(self) -> dict[str, bytes]:
        return {path.relative_to(self.root).as_posix(): path.read_bytes()
                for path in self.root.rglob("*") if path.is_file()}

    def reset(self, old: bool = False) -> None:
        """Remove all outputs; with `old`, leave outdated ones in their place."""
        for path in self.root.rglob("*"):
            name = path.relative_to(self.root).as_posix()
            if path.is_file() and name not in self.inputs:
                path.unlink()
                if old and name in self.whole and path.name != "encoding.txt":
                    path.write_bytes(b"old")
        if not old:
            for name in ("out", "i", "l", "cache"):
                shutil.rmtree(self.root / name, ignore_errors=True)

    def run(self, workers: int = 1) -> None:
        sys.argv = [self.tool, *self.arguments, "--workers", str(workers)]
        runpy.run_path(self.tool, run_name="__main__")

    def run_killed_at(self, at: int) -> None:
        with file_faults(self.root, at, KILL):
            self.run()

    def repeat(self, check: bool = True):
        return run_tool(self.tool, *self.arguments, "--workers", 1, check=check)

    def check_whole(self, old: bool = False) -> None:
        """Check that each file is whole, and that inputs are as they were."""
        found = self.files()
        assert self.inputs.items() <= found.items()
        for name, content in found.items():
            if old and name.endswith("class_pixels.json") and content != b"old":
                json.loads(content)  # the counts of the files that did not fail
            elif not name.endswith(".tmp"):
                assert content == self.whole[name] or (old and content == b"old"), name

    def check_repeated(self) -> None:
        self.repeat()
        assert self.files() == self.whole


@pytest.fixture(params=WORKS)
def bench(request, tmp_path):
    return Bench(WORKS[request.param], tmp_path / "data")


def _kill_at_operations(bench: Bench, every: int) -> int:
    """Kill at every n-th operation; return the number of kills."""
    bench.reset()
    with file_faults(bench.root) as seen:
        bench.repeat()
    assert {"write", "rename"} <= {operation.name for operation in seen}
    points = range(0, len(seen), every)
    for at in points:
        bench.reset()
        assert in_child(bench.run_killed_at, at).code == -signal.SIGKILL
        bench.check_whole()
        bench.check_repeated()
    return len(points)


def _kill_at_random(bench: Bench, times: int) -> int:
    """Kill at random moments of a run in two processes; return how often it hit before the end."""
    draw, hit = random.Random(0), 0
    for _ in range(times):
        bench.reset()
        ended = in_child(bench.run, 2, kill_after=draw.uniform(0, 2 * bench.seconds))
        hit += ended.code == -signal.SIGKILL
        time.sleep(0.02)  # workers end when they see that their parent is gone
        bench.check_whole()
        bench.check_repeated()
    return hit


def _fail_operations(bench: Bench, every: int) -> int:
    """Fail every n-th operation, reading included; return the number of failures.

    With `every` 1, each fails once with each error; else the errors take turns.
    """
    bench.reset(old=True)
    with file_faults(bench.root, counts=lambda operation: True) as seen:
        bench.repeat()
    points = [(at, code) for at in range(0, len(seen), every)
              for code in (ERRORS if every == 1 else [ERRORS[at % len(ERRORS)]])]
    for at, code in points:
        bench.reset(old=True)
        with file_faults(bench.root, at, code, counts=lambda operation: True):
            done = bench.repeat(check=False)
        _check_told(done, seen[at])
        if done.returncode:
            bench.check_whole(old=True)
            bench.repeat()
        assert bench.files() == bench.whole, seen[at]
    return len(points)


def _check_told(done, operation) -> None:
    """Check that a failure is told in one line, without a traceback."""
    assert "Traceback" not in done.stderr, (operation, done.stderr[-2000:])
    told = [line for line in done.stderr.splitlines() if line.startswith(("error: ", "failed: "))
            or "\rfailed: " in line]
    assert len(told) == (1 if done.returncode else 0), (operation, done.stderr)


def test_a_killed_command_is_completed_by_its_repetition(bench):
    _kill_at_operations(bench, every=6)
    _kill_at_random(bench, times=2)


def test_a_failing_file_operation_is_told_and_costs_no_file(bench):
    _fail_operations(bench, every=5)


@pytest.mark.faults
def test_kills_at_every_operation_and_at_20_random_moments(bench, request):
    kills = _kill_at_operations(bench, every=1)
    hit = _kill_at_random(bench, times=20)
    print(f"{request.node.name}: {kills} kills at operations, {hit} of 20 at random moments")


@pytest.mark.faults
def test_every_file_operation_fails_once_with_each_error(bench, request):
    print(f"{request.node.name}: {_fail_operations(bench, every=1)} failures")
