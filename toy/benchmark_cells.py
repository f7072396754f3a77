"""Train and test cells of the toy benchmark: one method, one number of pictures, one seed."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]

_CONFIG = "configs/toy/{}toy_vit_mask2former_256x256.py"
METHODS = {"random": _CONFIG.format("frozen_random_"), "freeze": _CONFIG.format("frozen_"),
           "full": _CONFIG.format(""), "rein": _CONFIG.format("rein_")}
ADAPTERS = ("lora", "dora", "soma", "vpt", "adaptformer", "bitfit", "norm_tuning")
HEADS = ("linear", "linear4", "rein_linear", "semfpn", "eomt", "eomt_lora")
ALL_METHODS = {
    **METHODS, **{name: _CONFIG.format(f"{name}_") for name in ADAPTERS},
    **{name: f"configs/toy/{name}_toy_vit_256x256.py" for name in HEADS}}
HELD_OUT = "data/toy_held_out"  # toy GTA of another draw of streets
_SOURCE = "gta"  # the domain of held-out streets
IN_DOMAIN = "in_domain"  # folder, in a cell's, of the results on held-out streets of the source
_OPTIONS = "options.json"  # file, in a cell's folder, of its overrides; precedes the training
SOURCES = 160  # toy GTA pictures that the quickstart makes


class Cell(NamedTuple):
    """One training with its tests.

    Attributes:
        method: A key of `ALL_METHODS`.
        sources: Source pictures to train on.
        seed: Of the training.
        folder: Receives everything.
    """

    method: str
    sources: int
    seed: int
    folder: Path


def run_cell(cell: Cell, tests: Mapping[str, Sequence[str]], options: Sequence[str] = ()) -> None:
    """Train and test one cell; skip what is done.

    Args:
        cell: What to train.
        tests: Folder inside the cell's, "." for itself -> config overrides of the test.
        options: Config overrides of the training.

    Raises:
        UserError: The cell was trained, or its training began, with other overrides.
    """
    config = ALL_METHODS[cell.method]
    checkpoint = _train_cell(cell, config, options)
    for name, settings in tests.items():
        out = cell.folder / name
        if not is_tested(cell, name):
            run_tool("tools/test.py", config, checkpoint, "--work-dir", out / "test", "--out", out,
                     "--force", *(["--cfg-options", *settings] if settings else []),
                     log=out / "test.log")


def _train_cell(cell: Cell, config: str, options: Sequence[str]) -> Path:
    """Train a cell unless that is done, and return its last checkpoint."""
    from rein.atomic_files import write_atomically
    from rein.errors import UserError

    train, begun, trained = (cell.folder / name for name in ("train", _OPTIONS, "cost.json"))
    interrupted = not trained.exists() and any(train.glob("iter_*.pth"))
    # if an earlier version was interrupted, tools/train.py alone compares the overrides
    recorded = trained.exists() or interrupted and begun.exists()
    before = options_of(cell) if recorded else list(options)
    if before != list(options):
        raise UserError(
            f"{cell.folder}: was trained with --cfg-options {' '.join(before) or '(none)'}, not "
            f"{' '.join(options) or '(none)'}. Choose another --work-dir.")
    if not trained.exists():
        if not interrupted:
            cell.folder.mkdir(parents=True, exist_ok=True)
            write_atomically(begun, json.dumps(before))
        settings = [f"randomness.seed={cell.seed}", *options]
        if cell.sources != SOURCES:
            settings.append(f"train_dataloader.dataset.indices={cell.sources}")
        seconds, memory = run_tool(
            "tools/train.py", config, "--work-dir", train, *["--resume"] * interrupted,
            "--cfg-options", *settings, log=cell.folder / "train.log")
        write_atomically(trained, json.dumps(dict(
            seconds=None if interrupted else round(seconds),  # those of a part would mislead
            peak_mib=round(memory), options=before)))
    return train / (train / "last_checkpoint").read_text().strip()


def options_of(cell: Cell) -> list[str]:
    """Read the config overrides that a cell is or was trained with."""
    begun = cell.folder / _OPTIONS
    if begun.exists():
        return json.loads(begun.read_text())
    # alone in a cell that an earlier version finished
    return json.loads((cell.folder / "cost.json").read_text()).get("options", [])


def is_done(cell: Cell, tests: Iterable[str]) -> bool:
    """Tell whether a cell is trained and has the results of all tests, by their folders."""
    return (cell.folder / "cost.json").exists() and all(
        is_tested(cell, name) for name in tests)


def is_tested(cell: Cell, test: str) -> bool:
    """Tell whether a cell has the results of a test.

    Held-out streets in the targets' place, where earlier versions wrote them, do not count.
    """
    results = cell.folder / test / "results.json"
    return results.exists() and (
        test == IN_DOMAIN or _SOURCE not in json.loads(results.read_text()).get("domains", {}))


def list_tests(
    conditions: Sequence[str] = (), held_out: bool = False, in_domain: bool = False,
) -> dict[str, list[str]]:
    """List the tests of each cell: the folder in the cell's -> config overrides.

    Args:
        conditions: Of ACDC, for a test of their own.
        held_out: Test on held-out streets of the source instead of the targets.
        in_domain: Test on them, too.
    """
    source = target_options([Target(
        _SOURCE, f"{HELD_OUT}/gta/", "images", "labels", ".png", "_labelTrainIds.png")])
    tests = {} if held_out else {".": []}
    if held_out or in_domain:
        tests[IN_DOMAIN] = source
    if conditions:
        tests[acdc_folder(conditions)] = target_options([Target(
            f"acdc_{name}", "data/toy/acdc/", f"rgb_anon/{name}/val", f"gt/{name}/val",
            "_rgb_anon.png", "_gt_labelTrainIds.png") for name in conditions])
    return tests


def acdc_folder(conditions: Sequence[str]) -> str:
    """Name the folder, in a cell's, of the results on conditions of ACDC."""
    return "_".join(["acdc", *conditions])


class Target(NamedTuple):
    """A dataset to test on, by its keys in a config."""

    domain: str
    data_root: str
    images: str
    labels: str
    img_suffix: str
    seg_map_suffix: str


def target_options(targets: Sequence[Target]) -> list[str]:
    """Return the overrides that test these datasets in the places of the config's last ones."""
    datasets, others = "test_dataloader.dataset.datasets", 4 - len(targets)
    options = [f"{datasets}.{i}.indices=1" for i in range(others)]
    for i, target in enumerate(targets, others):
        options += [
            f"{datasets}.{i}.domain={target.domain}",
            f"{datasets}.{i}.data_root={target.data_root}",
            f"{datasets}.{i}.data_prefix.img_path={target.images}",
            f"{datasets}.{i}.data_prefix.seg_map_path={target.labels}",
            f"{datasets}.{i}.img_suffix={target.img_suffix}",
            f"{datasets}.{i}.seg_map_suffix={target.seg_map_suffix}",
        ]
    domains = [target.domain for target in targets]
    return [*options, f"test_evaluator.dataset_keys={domains}",
            f"test_evaluator.mean_used_keys={domains}"]


def run_tool(*words: object, log: Path) -> tuple[float, float]:
    """Run a tool with its output in a log; return seconds and peak memory in MiB.

    The tool ends with this process if that is interrupted or told to end.

    Raises:
        UserError: It failed.
    """
    from rein.cli import termination_as_interrupt
    from rein.errors import UserError

    log.parent.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    with log.open("a") as file, termination_as_interrupt():
        process = subprocess.Popen([sys.executable, *map(str, words)], cwd=ROOT, stdout=file,
                                   stderr=subprocess.STDOUT)
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except KeyboardInterrupt:
            process.terminate()
            process.wait()
            raise
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise UserError(f"{words[0]} failed (exit code {process.returncode}): see {log}")
    return time.monotonic() - start, usage.ru_maxrss / 1024
