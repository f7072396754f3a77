"""Every pair of documented switches works together or is refused with a reason.

Each pair trains two iterations, or tests four images, of the tiny model in a forked process. A
switch that keeps results must keep them alone and beside any other switch. The table of all pairs
is the section "Combinations" of docs/reliability.md; to write it again:

    REIN_UPDATE_DOCS=1 make faults
"""

import itertools
import json
import math
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from conftest import ROOT, build, tiny_model_config
from faults.file_faults import in_child
from label_files import write_pairs
from mmengine.dist import get_rank
from mmengine.registry import DefaultScope
from processes import in_processes
from tiny_project import losses_of_training
from tiny_testing import run_test, scenes_config, write_scenes, write_weights
from tiny_training import training_config

from rein import checkpoint as ckpt
from rein.datasets import cache
from rein.datasets.building import build_dataset, files_of
from rein.errors import UserError

NONE, ALL = 0, None  # ends of slices of the results

PAGE = ROOT / "docs/reliability.md"
DDP = "2 processes"
AMP = "`--amp`"


class Side(NamedTuple):
    """Training or testing.

    Attributes:
        name: "Training" or "Testing".
        switches: Switch -> the number of results (losses or IoUs) that it keeps; the slice
            results[:ALL] has all.
        run: Runs with a set of switches in a folder and returns the results.
    """

    name: str
    switches: dict[str, int | None]
    run: Callable[[Path, frozenset], list[float]]


def train_with(root: Path, on: frozenset) -> list[float]:
    """Train two iterations on batches of two; return the losses.

    Loss points are equal for every image and process, and all classes weigh the same.
    """
    cfg = training_config(root / "train", max_iters=2)
    suffix = "safetensors" if "safetensors" in on else "pth"
    cfg.model.backbone.init_cfg.checkpoint = str(root / f"train/backbone.{suffix}")
    cfg.model.decode_head.loss_cls.class_weight = [1.0] * 20
    cfg.train_dataloader.batch_size = 1 if DDP in on else 2
    _set_model(cfg, on)
    if "EMA" in on:
        cfg.custom_hooks = [dict(type="EMAHook")]
    if "accumulation" in on:
        cfg.optim_wrapper.accumulative_counts = 2
    work_dir = _work_dir(root, on)
    found = losses_of_training(cfg, work_dir, _launcher(on), amp=AMP in on)
    assert get_rank() or (work_dir / "iter_2.pth").exists()
    assert all(map(math.isfinite, found)) and len(found) == 2
    return found


def test_with(root: Path, on: frozenset) -> list[float]:
    """Test four images; return the measures."""
    cfg = scenes_config(root / "test")
    _set_model(cfg, on)
    suffix = "safetensors" if "safetensors" in on else "pth"
    one, = run_test(
        root, config=cfg, checkpoint=f"m.{suffix}", out=None, show_dir=None,
        work_dir=str(_work_dir(root, on)),
        protocols=["full"] if "`--protocol`" in on else [], tta="`--tta`" in on,
        mode="whole" if "`--mode`" in on else None, int8="`--int8`" in on,
        launcher=_launcher(on))
    assert all(map(math.isfinite, one.metrics.values()))
    return [*one.metrics.values()]


test_with.__test__ = False

SIDES = {side.name: side for side in (
    Side("Training", {
        "`with_cp`": ALL, "`bf16`": NONE, AMP: NONE, "`compile`": ALL, "EMA": ALL,
        "accumulation": 1, "cache": ALL, DDP: ALL, "safetensors": ALL}, train_with),
    Side("Testing", {
        "`with_cp`": ALL, "`bf16`": NONE, "`compile`": ALL, "`--int8`": NONE, "`--tta`": NONE,
        "`--protocol`": NONE, "`--mode`": NONE, "cache": ALL, DDP: ALL, "safetensors": ALL},
        test_with))}


def _work_dir(root: Path, on: frozenset) -> Path:
    names = sorted(re.sub(r"\W+", "", switch) for switch in on)
    return root / "work" / ("-".join(names) or "none")


def _launcher(on: frozenset) -> str:
    return "pytorch" if DDP in on else "none"


def _set_model(cfg, on: frozenset) -> None:
    cfg.model.backbone.with_cp = "`with_cp`" in on
    if "`bf16`" in on:
        cfg.model.precision = "bf16"
    if "`compile`" in on:
        cfg.compile = dict(backend="eager")  # needs no compiler; traces as the others do
    if DDP in on:
        cfg.env_cfg = dict(dist_cfg=dict(backend="gloo"))


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Data, cache and weights for training and testing."""
    root = tmp_path_factory.mktemp("world")
    write_scenes(root / "test")
    write_weights(root / "m.pth")
    (root / "train").mkdir()
    rng = np.random.default_rng(0)
    labels = [np.kron(rng.integers(0, 19, (4, 5)), np.ones((24, 24))).astype(np.uint8)
              for _ in range(4)]
    write_pairs(root / "train", [(np.stack([label * 13] * 3, -1), label) for label in labels],
                "_labelTrainIds.png")
    backbone = ckpt.split(build(tiny_model_config()).state_dict()).backbone
    ckpt.save_file(ckpt.load_file(root / "m.pth"), root / "m.safetensors")
    for suffix in ("pth", "safetensors"):
        ckpt.save_file(backbone, root / f"train/backbone.{suffix}")
    for cfg in (training_config(root / "train").train_dataloader.dataset,
                scenes_config(root / "test").test_dataloader.dataset):
        with DefaultScope.overwrite_default_scope("mmseg"):
            files = files_of(build_dataset(cfg))
        cache.cache_files(files, root / "cache", workers=1)
    return root


class Outcome(NamedTuple):
    """Results of a run, or the reason for its refusal."""

    results: list[float]
    refused: str = ""


def attempt(side: Side, root: Path, *switches: str) -> Outcome:
    """Run with some switches in a forked process; anything but a UserError fails the test."""
    on = frozenset(switches)

    def run() -> None:
        if "cache" in on:
            os.environ[cache.CACHE_VARIABLE] = str(root / "cache")
        try:
            results = _in_two_processes(side, root, on) if DDP in on else side.run(root, on)
        except UserError as error:
            print("\nREFUSED", error)
        else:
            print("\nRESULTS", json.dumps(results))

    ended = in_child(run)
    assert ended.code == 0, f"{side.name} with {switches}:\n{ended.out[-500:]}\n{ended.err[-3000:]}"
    refused = re.search(r"^REFUSED (.*)$", ended.out, re.M)
    if refused:
        return Outcome([], refused[1])
    return Outcome(json.loads(re.search(r"^RESULTS (.*)$", ended.out, re.M)[1]))


def _in_two_processes(side: Side, root: Path, on: frozenset) -> list[float]:
    """Run in two processes; return the means of their results."""
    found = in_processes(_result_or_refusal, 2, root, side.name, root, on)
    if isinstance(found[0], str):
        raise UserError(found[0])
    return np.mean(found, 0).tolist()


def _result_or_refusal(side: str, root: Path, on: frozenset) -> list[float] | str:
    try:
        return SIDES[side].run(root, on)
    except UserError as error:
        return str(error)


def check_kept(
    side: Side, switch: str, outcome: Outcome, other: Outcome | None, what: object,
) -> None:
    """Check that a switch keeps the results of a run without it."""
    kept = slice(side.switches[switch])
    if other is None or other.refused or outcome.refused:
        return
    assert outcome.results[kept] == pytest.approx(other.results[kept], rel=1e-3, abs=0.02), what


def check_pair(side: Side, root: Path, a: str, b: str, alone: dict[str, Outcome]) -> Outcome:
    """Run a pair; a switch that keeps results must keep those of the other."""
    outcome = attempt(side, root, a, b)
    for switch, other in ((a, b), (b, a)):
        check_kept(side, switch, outcome, alone.get(other), (a, b))
    return outcome


@pytest.mark.parametrize("name, a, b", [
    ("Training", "`bf16`", "`with_cp`"),
    pytest.param("Testing", "`--int8`", "`--tta`", marks=pytest.mark.faults)])
def test_pairs_that_once_failed_work(world, name, a, b):
    side = SIDES[name]
    alone = {a: attempt(side, world, a)} if side.switches[b] is not NONE else {}
    assert not check_pair(side, world, a, b, alone).refused


def test_the_page_lists_every_switch():
    text = PAGE.read_text()
    for side in SIDES.values():
        for switch in side.switches:
            assert re.search(rf"^\| {re.escape(switch)} \|", text, re.M), switch


@pytest.mark.faults
@pytest.mark.skipif(torch.cuda.is_available(), reason="the page is about a machine without GPU")
def test_every_pair_works_or_is_refused_with_a_reason(world):
    section = "\n\n".join([_INTRODUCTION, *(_table(side, world) for side in SIDES.values())])
    if os.environ.get("REIN_UPDATE_DOCS"):
        PAGE.write_text(_replaced(PAGE.read_text(), section))
    assert section in PAGE.read_text()


_INTRODUCTION = """## Combinations

Pairs of switches, run with a tiny model on a CPU by `tests/faults/test_combinations.py`: training
for two iterations, or a test of four images. ✓: works, and a switch that keeps losses or
IoUs keeps them (within 0.1 % or 0.02) beside the other; the diagonal is a switch alone. Bfloat16,
int8, averaging, protocols and modes change them; accumulation keeps the first loss. A number:
refused, with the reason below the table."""


def _table(side: Side, root: Path) -> str:
    """Run all pairs of a side and format them as a Markdown table with reasons below."""
    neither = attempt(side, root)
    alone = {switch: attempt(side, root, switch) for switch in side.switches}
    for switch, outcome in alone.items():
        check_kept(side, switch, outcome, neither, switch)
    pairs = {frozenset(pair): check_pair(side, root, *pair, alone)
             for pair in itertools.combinations(side.switches, 2)}
    return _format(side, pairs | {frozenset([one]): outcome for one, outcome in alone.items()})


def _format(side: Side, pairs: dict[frozenset, Outcome]) -> str:
    """Format the outcomes of pairs, and of single switches on the diagonal."""
    switches, reasons = [*side.switches], []

    def cell(row: str, column: str) -> str:
        outcome = pairs[frozenset([row, column])]
        if not outcome.refused:
            return "✓"
        if outcome.refused not in reasons:
            reasons.append(outcome.refused)
        return str(reasons.index(outcome.refused) + 1)

    lines = [f"| {side.name.lower()} | {' | '.join(switches)} |",
             f"|---|{':-:|' * len(switches)}"]
    lines += [f"| {row} | {' | '.join(cell(row, column) for column in switches)} |"
              for row in switches]
    notes = [f"{number}. {reason}" for number, reason in enumerate(reasons, 1)]
    refused = [bool(outcome.refused) for pair, outcome in pairs.items() if len(pair) == 2]
    summary = (f"{len(refused)} pairs: {refused.count(False)} work, "
               f"{refused.count(True)} are refused.")
    parts = [f"### {side.name}", "\n".join(lines), "\n".join(notes), summary]
    return "\n\n".join(part for part in parts if part)


def _replaced(page: str, section: str) -> str:
    """Replace the page's section of this name, which ends at the next heading of its level."""
    start = page.find("## Combinations\n")
    if start < 0:
        return f"{page.rstrip()}\n\n{section}\n"
    end = page.find("\n## ", start)
    return page[:start] + section + "\n" + (page[end:] if end >= 0 else "")
