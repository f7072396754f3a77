"""A test or comparison that is killed or meets a failing disk loses nothing, and can be repeated.

The model is built once; each attempt is a forked process that predicts, writes its reports, and is
killed or fails at one file operation, or is killed at a random moment.
"""

import errno
import random
import shutil
import signal
import time
from pathlib import Path

import pytest
from commands import ROOT, run_tool
from faults.file_faults import KILL, file_faults, in_child
from mmengine.registry import DefaultScope
from tiny_testing import outputs, run_test, scenes_config, write_scenes, write_weights

from rein.cli import run_cli
from rein.engine.testing import evaluate
from rein.engine.testing.options import EvaluationOptions
from rein.errors import UserError
from rein.evaluation.comparison_report import compare
from rein.evaluation.result_files import RESULTS_FILE, load_run

ERRORS = (errno.ENOSPC, errno.EIO, errno.EACCES)


class World:
    """A folder with data, weights and the results of earlier tests, restored for each attempt."""

    def __init__(self, root: Path):
        self.root = root
        write_scenes(root / "data", images=1)
        write_weights(root / "m.pth")
        self.start = {}

    def attempt(self, **options) -> int:
        """Test under the protocol `rein` as the command does; return the exit code."""
        return run_cli(lambda: run_test(self.root, protocols=["rein"], **options) and 0)

    def restore(self) -> None:
        """Remove all outputs but those of the earlier tests."""
        for name in ("out", "shown"):
            shutil.rmtree(self.root / name, ignore_errors=True)
            if (self.root / f"earlier {name}").exists():
                shutil.copytree(self.root / f"earlier {name}", self.root / name)

    def check_whole(self, end: dict[str, bytes]) -> None:
        """Check that every file is whole and every loadable result is of one test."""
        found, before = outputs(self.root), self.start
        for path, content in found.items():
            if not Path(path).name.startswith(".") and "/.new" not in path:
                assert content in (end[path], before.get(path)), path
        try:
            run = load_run(self.root / "out/rein")
        except UserError:
            return
        assert sum(map(len, run.confusion.values())) in (2, 1)  # the new test, or the earlier one
        assert any(found[f"out/rein/{RESULTS_FILE}"] == state.get(f"out/rein/{RESULTS_FILE}")
                   for state in (end, before))


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A world without earlier results, and a tester that all attempts share."""
    made = World(tmp_path_factory.mktemp("world"))
    options = EvaluationOptions(work_dir=str(made.root / "log"))
    plan, = evaluate.plan_tests(scenes_config(made.root / "data"), "m.pth", options)
    tester = evaluate.load_tester(plan.cfg, str(made.root / "m.pth"), options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate, "load_tester", lambda *_: tester)
        yield made


@pytest.fixture(autouse=True)
def _scope():
    """Restore the shared tester's scope, which only its own run would set."""
    with DefaultScope.overwrite_default_scope("mmseg"):
        yield


def end_of(world, **options):
    """Return the outputs of an undisturbed attempt and its file operations."""
    def undisturbed():
        with file_faults(world.root, counts=_is_output) as seen:
            run_test(world.root, protocols=["rein"], **options)
        print("OPERATIONS", len(seen))

    world.restore()
    ended = in_child(undisturbed)
    assert ended.code == 0, ended.err
    return outputs(world.root), int(ended.out.rpartition("OPERATIONS ")[2])


def _is_output(operation) -> bool:
    return operation.name != "read" and not {"log", "data"} & {*Path(operation.path).parts}


def killed_at(world, number, **options):
    with file_faults(world.root, number, KILL, counts=_is_output):
        world.attempt(**options)


def kill_and_repeat(world, end, attempt, *arguments, kill_after=None, **options):
    """Kill an attempt, check what it left, repeat it, and check the end."""
    world.restore()
    ended = in_child(lambda: attempt(*arguments, **options), kill_after=kill_after)
    assert ended.code in (-signal.SIGKILL, 0), ended.err
    world.check_whole(end)
    repeated = in_child(lambda: world.attempt(**options))
    assert repeated.code == 0, repeated.err
    assert outputs(world.root) == end
    return ended.code == -signal.SIGKILL


def test_a_killed_test_is_repeated_to_the_same_end(world):
    end, operations = end_of(world)
    # while writing a prediction, and between two files of the report
    for number in (8, operations - 6):
        assert kill_and_repeat(world, end, killed_at, world, number)


@pytest.mark.faults
def test_a_full_disk_keeps_the_old_report_and_gives_one_line(world):
    with_earlier_results(world)
    end, operations = end_of(world, force=True)
    assert check_failing(world, end, operations - 7, errno.ENOSPC) == 1  # the last move


def with_earlier_results(world):
    """Put results of another test, of one town, into the folder; they are replaced with --force."""
    for name in ("out", "shown"):
        shutil.rmtree(world.root / name, ignore_errors=True)
        shutil.rmtree(world.root / f"earlier {name}", ignore_errors=True)
    config = scenes_config(world.root / "data", "ulm")
    assert in_child(lambda: run_test(world.root, config=config, protocols=["rein"]) and None
                    ).code == 0
    for name in ("out", "shown"):
        shutil.move(world.root / name, world.root / f"earlier {name}")
    world.restore()
    world.start = outputs(world.root)


@pytest.fixture(autouse=True)
def without_earlier_results(world):
    yield
    for name in ("out", "shown"):
        shutil.rmtree(world.root / f"earlier {name}", ignore_errors=True)
    world.start = {}


def check_failing(world, end, number, error):
    """Let one operation fail; there is one error line, and the old report or the new is whole."""
    def failing():
        with file_faults(world.root, number, error, counts=_is_output):
            return world.attempt(force=True)

    world.restore()
    ended = in_child(failing)
    assert "Traceback" not in ended.err, ended.err
    world.check_whole(end)
    if ended.code:
        lines = [line for line in ended.err.splitlines() if line.startswith("error: ")]
        assert ended.code == 1 and len(lines) == 1, ended.err
        load_run(world.root / "out/rein")
        reports = [f"out/rein/results.{kind}" for kind in ("json", "npz", "md", "html")]
        found = outputs(world.root)
        assert any(all(found[path] == state[path] for path in reports)
                   for state in (world.start, end))
    return ended.code


@pytest.mark.faults
@pytest.mark.parametrize("earlier", [False, True])
def test_killed_at_every_operation(world, earlier):
    if earlier:
        with_earlier_results(world)
    end, operations = end_of(world, force=earlier)
    for number in range(operations):
        assert kill_and_repeat(world, end, killed_at, world, number, force=earlier)
    print(f"killed at {operations} operations")


@pytest.mark.faults
def test_killed_at_random_moments(world):
    started = time.monotonic()
    end, _ = end_of(world)
    took = time.monotonic() - started
    rng = random.Random(0)
    killed = sum(kill_and_repeat(world, end, world.attempt, kill_after=rng.uniform(0, took))
                 for _ in range(20))
    assert killed > 5


@pytest.mark.faults
@pytest.mark.parametrize("error", ERRORS, ids=errno.errorcode.get)
def test_every_operation_fails_once(world, error):
    with_earlier_results(world)
    end, operations = end_of(world, force=True)
    codes = [check_failing(world, end, number, error) for number in range(operations)]
    assert codes.count(1) > operations / 2
    print(f"{operations} operations failed, {codes.count(1)} were reported")


@pytest.fixture
def runs(world):
    """Two tested folders to compare."""
    end_of(world)
    yield [world.root / "out/rein"] * 2


def compare_command(world, runs) -> int:
    done = run_tool(ROOT / "tools/compare.py", *runs, "--draws", "100", "--out",
                    world.root / "out/c.md", check=False)
    print(done.stderr)
    return done.returncode


@pytest.mark.parametrize("numbers", [
    (3, 4), pytest.param(range(5), marks=pytest.mark.faults)], ids=["short", "long"])
def test_a_comparison_is_whole_or_absent(world, runs, numbers):
    out, expected = world.root / "out/c.md", compare(runs, draws=100)

    def attempt(number, fault):
        with file_faults(world.root / "out", number, fault):
            return compare_command(world, runs)

    for number in numbers:
        for fault in (KILL, errno.ENOSPC):
            out.unlink(missing_ok=True)
            ended = in_child(lambda number=number, fault=fault: attempt(number, fault))
            assert not out.exists() or out.read_text() == expected
            assert "Traceback" not in ended.err + ended.out, ended.out
            out.unlink(missing_ok=True)
            assert in_child(lambda: compare_command(world, runs)).code == 0
            assert out.read_text() == expected
