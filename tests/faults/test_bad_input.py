"""Bad input ends in success or in one clear line, in bounded time and memory; it never runs."""

import os
import random
from collections import Counter
from pathlib import Path

import pytest
from faults.bad_inputs import CANARY, KINDS, Kind, warm_up
from faults.bad_world import make_world
from faults.bounded import run_bounded

SEED = 11
FEW = 1  # cases of each kind in the default suite


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Write the intact files, and run the longest commands on them: forks share their imports."""
    root = make_world(tmp_path_factory.mktemp("world"))
    warm_up(root, tmp_path_factory.mktemp("intact"))
    return root


def try_case(kind: Kind, number: int, world: Path, folder: Path) -> tuple[str, str]:
    """Try one case.

    Returns:
        "survived", "refused" or "wrong", and the way of damage with the reason if wrong.
    """
    folder.mkdir()
    way = kind.prepare(world, folder, random.Random(f"{SEED} {kind.name} {number}"))
    outcome = run_bounded(lambda: kind.command(folder))
    if outcome.failure:
        return "wrong", f"{way}: {outcome.failure}"
    done = outcome.value
    if (folder / CANARY).exists():
        return "wrong", f"{way}: code from the file has run"
    if "Traceback" in done.stderr + done.stdout:
        return "wrong", f"{way}: {done.stderr.strip()[-700:]}"
    if done.returncode == 0:
        return "survived", way
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    said = len(lines) == 1 or (not lines and (done.stdout + done.stderr).strip())
    clear = said and max(map(len, [*lines, ""])) < 2000 and (
        not lines or done.stderr.strip().splitlines()[-1] == lines[0])
    if not clear:
        return "wrong", f"{way}: exit {done.returncode}, {done.stderr.strip()[-700:]!r}"
    return "refused", way


def test_a_sample_of_bad_inputs_is_refused_or_survived(world, tmp_path):
    for kind in KINDS:
        for number in range(FEW):
            found, why = try_case(kind, number, world, tmp_path / f"{kind.name[:4]}{number}")
            assert found != "wrong", f"{kind.name}, case {number}: {why}"
            os.system(f"rm -rf '{tmp_path}'/*")


@pytest.mark.faults
def test_a_thousand_bad_inputs_are_refused_or_survived(world, tmp_path):
    """Print a table: kind, tried, refused, survived, wrong."""
    assert sum(kind.cases for kind in KINDS) >= 1000
    rows, wrong = [], []
    for kind in KINDS:
        counts = Counter()
        for number in range(kind.cases):
            folder = tmp_path / "case"
            found, why = try_case(kind, number, world, folder)
            counts[found] += 1
            if found == "wrong":
                wrong.append(f"{kind.name}, case {number}: {why}")
            os.system(f"rm -rf '{folder}'")
        rows.append((kind.name, kind.cases, *(counts[k] for k in ("refused", "survived", "wrong"))))
    rows.append(("all", *(sum(row[i] for row in rows) for i in range(1, 5))))
    table = "\n".join("| {} |".format(" | ".join(map(str, row))) for row in rows)
    print(f"\n| kind | tried | refused | survived | wrong |\n|---|---|---|---|---|\n{table}")
    assert not wrong, "\n\n".join(wrong)
