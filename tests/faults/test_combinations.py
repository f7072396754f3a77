"""Every pair of documented switches works together or is refused with a reason.

Each pair trains two iterations, or tests four images, of the tiny model in a forked process. A
switch that keeps results must also keep them beside any other switch. The table of all pairs is
the section "Combinations" of docs/reliability.md; to write it again:

    REIN_UPDATE_DOCS=1 make faults
"""

import itertools
import json
import math
import os
import re
import socket
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
from tiny_testing import run_test, scenes_config, write_scenes, write_weights
from tiny_training import losses, training_config

from rein import checkpoint as ckpt
from rein.datasets import cache
from rein.datasets.building import build_dataset, files_of
from rein.engine.training import train
from rein.errors import UserError

PENDING = {"EMA"}
"""Switches that are not ready; their row says so."""

PAGE = ROOT / "docs/reliability.md"
DDP = "2 processes"
AMP = "`--amp`"


class Side(NamedTuple):
    """Training or testing.

    Attributes:
        name: "Training" or "Testing".
        switches: Switch -> whether it keeps results (losses or IoUs).
        run: Runs with a set of switches in a folder and returns the results.
    """

    name: str
    switches: dict[str, bool]
    run: Callable[[Path, frozenset], list[float]]


def train_with(root: Path, on: frozenset) -> list[float]:
    """Train two iterations; return the first loss."""
    cfg = training_config(root / "train", max_iters=2)
    suffix = "safetensors" if "safetensors" in on else "pth"
    cfg.model.backbone.init_cfg.checkpoint = str(root / f"train/backbone.{suffix}")
    _set_model(cfg, on)
    if "EMA" in on:
        cfg.custom_hooks = [dict(type="EMAHook")]
    if "accumulation" in on:
        cfg.optim_wrapper.accumulative_counts = 2
    work_dir = root / "work" / "-".join(sorted(map(_file_name, on)) or ["none"])
    last = train(cfg, "run", str(work_dir), amp=AMP in on,
                 launcher="pytorch" if DDP in on else "none")
    if get_rank():
        return []
    assert last.endswith("iter_2.pth")
    found = losses(work_dir)
    assert all(map(math.isfinite, found.values())) and len(found) == 2
    return [found[1]]


def test_with(root: Path, on: frozenset) -> list[float]:
    """Test four images; return the measures."""
    cfg = scenes_config(root / "test")
    _set_model(cfg, on)
    suffix = "safetensors" if "safetensors" in on else "pth"
    folder = root / "work" / "-".join(sorted(map(_file_name, on)) or ["none"])
    one, = run_test(
        root, config=cfg, checkpoint=f"m.{suffix}", out=None, show_dir=None, work_dir=str(folder),
        protocols=["full"] if "`--protocol`" in on else [], tta="`--tta`" in on,
        mode="whole" if "`--mode`" in on else None, int8="`--int8`" in on,
        launcher="pytorch" if DDP in on else "none")
    assert all(map(math.isfinite, one.metrics.values()))
    return [*one.metrics.values()]


test_with.__test__ = False

SIDES = {side.name: side for side in (
    Side("Training", {
        "`with_cp`": True, "`bf16`": False, AMP: False, "`compile`": True, "EMA": True,
        "accumulation": True, "cache": True, DDP: False, "safetensors": True}, train_with),
    Side("Testing", {
        "`with_cp`": True, "`bf16`": False, "`compile`": True, "`--int8`": False, "`--tta`": False,
        "`--protocol`": False, "`--mode`": False, "cache": True, DDP: True, "safetensors": True},
        test_with))}


def _file_name(switch: str) -> str:
    return re.sub(r"\W+", "", switch)


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
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.start_processes(
        _be_process, (side.name, root, on, port), nprocs=2, start_method="fork")
    refused = root / "refused"
    if refused.exists():
        text = refused.read_text()
        refused.unlink()
        raise UserError(text)
    return json.loads((root / "results").read_text())


def _be_process(rank: int, side: str, root: Path, on: frozenset, port: int) -> None:
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2", LOCAL_WORLD_SIZE="2",
                      MASTER_ADDR="localhost", MASTER_PORT=str(port))
    try:
        results = SIDES[side].run(root, on)
    except UserError as error:
        (root / "refused").write_text(str(error))
        return
    if rank == 0:
        (root / "results").write_text(json.dumps(results))


def check_pair(side: Side, root: Path, a: str, b: str, alone: dict[str, Outcome]) -> Outcome:
    """Run a pair; a switch that keeps results must keep those of the other."""
    outcome = attempt(side, root, a, b)
    for switch, other in ((a, b), (b, a)):
        if not outcome.refused and side.switches[switch] and other in alone:
            expected = alone[other].results
            assert outcome.results == pytest.approx(expected, rel=1e-3, abs=0.02), (a, b)
    return outcome


@pytest.mark.parametrize("name, a, b", [
    ("Training", "`bf16`", "`with_cp`"),
    pytest.param("Testing", "`--int8`", "`--tta`", marks=pytest.mark.faults)])
def test_pairs_that_once_failed_work(world, name, a, b):
    side = SIDES[name]
    alone = {a: attempt(side, world, a)} if side.switches[b] else {}
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
IoUs keeps them beside the other; the diagonal is a switch alone. A number: refused, with the
reason below the table. Pending: not run yet."""


def _table(side: Side, root: Path) -> str:
    """Run all pairs of a side and format them as a Markdown table with reasons below."""
    ready = [switch for switch in side.switches if switch not in PENDING]
    alone = {switch: attempt(side, root, switch) for switch in ready}
    pairs = {frozenset(pair): check_pair(side, root, *pair, alone)
             for pair in itertools.combinations(ready, 2)}
    return _format(side, pairs | {frozenset([one]): outcome for one, outcome in alone.items()})


def _format(side: Side, pairs: dict[frozenset, Outcome]) -> str:
    """Format the outcomes of pairs, and of single switches on the diagonal."""
    switches, reasons = [*side.switches], []

    def cell(row: str, column: str) -> str:
        outcome = pairs.get(frozenset([row, column]))
        if outcome is None:
            return "pending"
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
    summary = (f"{len(refused)} of {math.comb(len(switches), 2)} pairs were run: "
               f"{refused.count(False)} work, {refused.count(True)} are refused.")
    parts = [f"### {side.name}", "\n".join(lines), "\n".join(notes), summary]
    return "\n\n".join(part for part in parts if part)


def _replaced(page: str, section: str) -> str:
    """Replace the page's section of this name, which ends at the next heading of its level."""
    start = page.find("## Combinations\n")
    if start < 0:
        return f"{page.rstrip()}\n\n{section}\n"
    end = page.find("\n## ", start)
    return page[:start] + section + "\n" + (page[end:] if end >= 0 else "")
