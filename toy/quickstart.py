"""The main job on the toy street world, with the same commands as on the real data.

Makes raw data sets, converts them and the toy weights, trains Rein on toy GTA, merges, and tests on
toy Cityscapes, BDD100K, Mapillary and ACDC night.
"""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rein.errors import UserError

ROOT = Path(__file__).resolve().parents[1]
CONFIG = "configs/toy/rein_toy_vit_mask2former_256x256.py"
DATA = "data/toy"
WEIGHTS = "checkpoints/toy_vit_pretrain.pth"
LAST = "last_checkpoint"  # a word of a command: stands for the path in this text file of training's
WARM_UP = 30  # iterations, in configs/_base_/schedules/schedule_toy.py

_COUNT = re.compile(r"\((?:train|val|test)\)\s*\[\s*(\d+)/(\d+)\]")  # mmengine: (train) [ 25/400]
_PERCENT = re.compile(r"(\d+)%\|")  # tqdm: 45%|


class Step(NamedTuple):
    """One command.

    Attributes:
        title: What it does.
        words: The tool and its arguments.
    """

    title: str
    words: list[str]


def list_steps(data: str, work_dir: str, streets: Sequence[str] = (), iters: int | None = None
               ) -> list[Step]:
    """List all commands, in order.

    Args:
        data: Folder of the toy world.
        work_dir: Folder of everything else.
        streets: Arguments of tools/make_toy_streets.py without their dashes.
        iters: Training iterations; None: the config's.
    """
    train, out = f"{work_dir}/train", f"{work_dir}/test"
    training = [f"train_dataloader.dataset.data_root={data}/gta", *_target_roots("val", data)]
    testing = _target_roots("test", data)
    if data == DATA:  # the config's own folders
        training, testing = [], []
    if iters:
        training.append(f"train_cfg.max_iters={iters}")
        if iters > WARM_UP:  # the learning rate falls to 0 at the end of training
            training.append(f"param_scheduler.1.end={iters}")
    convert, labels = "tools/convert_datasets", f"{data}/mapillary/cityscapes_trainIdLabel"
    return [
        Step("make toy streets", [
            "tools/make_toy_streets.py", data, *(f"--{word}" for word in streets)]),
        Step("convert GTA", [f"{convert}/gta.py", f"{data}/gta"]),
        Step("convert Cityscapes", [f"{convert}/cityscapes.py", f"{data}/cityscapes"]),
        Step("convert Mapillary", [
            f"{convert}/mapillary2cityscape.py", f"{data}/mapillary", labels, "--train_id"]),
        Step("halve Mapillary", [
            f"{convert}/mapillary_resize.py", f"{data}/mapillary/validation/images",
            f"{labels}/val/label", f"{data}/mapillary/half/val_img",
            f"{data}/mapillary/half/val_label"]),
        Step("convert the backbone", [
            "tools/convert_models/convert_dinov2.py", WEIGHTS,
            "checkpoints/toy_vit_converted.pth", "--img-size", "256", "--force"]),
        Step("train Rein", [
            "tools/train.py", CONFIG, "--work-dir", train, "--force", *_cfg_options(training)]),
        Step("merge", [
            "tools/generate_full_weights.py", "--dinov2_segmentor_path",
            f"{work_dir}/toy_segmentor.pth", "--backbone", WEIGHTS, "--rein_head",
            f"{train}/{LAST}", "--force"]),
        Step("test", [
            "tools/test.py", f"{work_dir}/toy_segmentor.pth", f"{work_dir}/toy_segmentor.pth",
            "--work-dir", out, "--out", out, "--show-dir", f"{work_dir}/pictures", "--force",
            *_cfg_options(testing)]),
    ]


def _target_roots(loader: str, data: str) -> list[str]:
    """Return the overrides that point the `loader` ("val", "test") at the targets in `data`."""
    return [f"{loader}_dataloader.dataset.datasets.{i}.data_root={data}/{name}"
            for i, name in enumerate(("cityscapes", "bdd100k", "mapillary", "acdc"))]


def _cfg_options(options: list[str]) -> list[str]:
    """Return the arguments that override config values."""
    return ["--cfg-options", *options] if options else []


def run_quickstart(data: str = DATA, work_dir: str = "work_dirs/quickstart",
                   streets: Sequence[str] = (), iters: int | None = None) -> None:
    """Run all steps in the working directory, then print the results and their files.

    Args:
        data: Folder of the toy world.
        work_dir: Folder of everything else.
        streets: Arguments of tools/make_toy_streets.py without their dashes.
        iters: Training iterations; None: the config's.

    Raises:
        UserError: A step failed; the message has its last lines.
    """
    start = time.monotonic()
    steps = list_steps(data, work_dir, streets, iters)
    logs = Path(work_dir, "logs")
    logs.mkdir(parents=True, exist_ok=True)
    for number, step in enumerate(steps, 1):
        head = f"[{number}/{len(steps)}] {step.title}"
        print(f"$ python {' '.join(step.words)}", flush=True)
        _run(head, step, logs / f"{number}_{step.title.lower().replace(' ', '_')}.log")
    _report(work_dir, time.monotonic() - start)


def _run(head: str, step: Step, log: Path) -> None:
    """Run one step; show its progress in one line, and write all its output to a log."""
    start = time.monotonic()
    # training names its last checkpoint in a text file
    words = [str(Path(word).parent / Path(word).read_text().strip())
             if word.endswith(f"/{LAST}") else word for word in step.words]
    if words[0].startswith("tools/"):
        words[0] = str(ROOT / words[0])
    command = subprocess.Popen(
        [sys.executable, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, errors="replace", env={**os.environ, "PYTHONWARNINGS": "ignore"})
    with command, log.open("w", buffering=1) as file:
        for line in command.stdout:
            file.write(line)
            share = progress(line)
            if share is not None and sys.stdout.isatty():
                print(f"\r{head:<28} {share:4.0%} {time.monotonic() - start:5.0f} s", end="",
                      flush=True)
    if command.returncode:
        print()
        tail = "".join(log.read_text().splitlines(keepends=True)[-15:])
        raise UserError(f"`{step.title}` failed (exit code {command.returncode}):\n{tail}"
                        f"All its output: {log}")
    print(f"{chr(13) if sys.stdout.isatty() else ''}{head:<28} done "
          f"{time.monotonic() - start:5.0f} s", flush=True)


def progress(line: str) -> float | None:
    """Read the share done, 0 to 1, from a line of a log or a progress bar; None if it has none."""
    if found := _COUNT.findall(line):
        done, total = map(int, found[-1])
        return done / total
    if found := _PERCENT.findall(line):
        return int(found[-1]) / 100
    return None


def _report(work_dir: str, seconds: float) -> None:
    """Print the table and the files of the results."""
    results = json.loads(Path(work_dir, "test/results.json").read_text())
    mean = results["mean"]
    print(f"\n{Path(work_dir, 'test/results.md').read_text()}")
    print(f"mIoU over the target domains: Rein {mean['mIoU']:.1f}, "
          f"majority-class guess {mean['majority_mIoU']:.1f}   ({seconds:.0f} s in all)\n")
    for what, where in (
        ("page of results: open in a browser", "test/results.html"),
        ("table of IoU per class and domain", "test/results.md, results.json"),
        ("contact sheet", "pictures/sheet.png"),
        ("every test picture", "pictures/<domain>/"),
        ("merged model for test.py and demo.ipynb", "toy_segmentor.pth"),
        ("TensorBoard: tensorboard --logdir", "train"),
        ("full output of every step", "logs/"),
    ):
        print(f"{what + ':':<42} {work_dir}/{where}")
