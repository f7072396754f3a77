"""A training killed at any moment continues to the same end; so does merging."""

import random
import signal
import time

import pytest
from faults.conftest import TinyTraining
from faults.file_faults import KILL, file_faults, in_child
from mmengine.config import Config
from tiny_training import check_equal, training_config

from rein import checkpoint as ckpt
from rein.engine.weights.files import merge_files

KILLED = -signal.SIGKILL


def of_checkpoints(operation):
    """Tell whether an operation is part of a save, and changes a file."""
    name = operation.path.rpartition("/")[2]
    return operation.name not in ("read", "mkdir") and (
        ".pth" in name or "last_checkpoint" in name)


def kill_and_continue(training, undisturbed, **kill):
    ended = training.run(**kill)
    assert ended.code in (0, KILLED), ended.err
    training.check_nothing_half_written()
    again = training.run()
    assert again.code == 0, again.err
    training.check_finished_like(undisturbed)
    return ended.code == KILLED


def test_a_training_killed_within_a_save_continues_to_the_same_end(data, undisturbed, tmp_path):
    """The file of the second checkpoint is half written."""
    saves = [one for one in undisturbed.seen if of_checkpoints(one)]
    (at,) = (number for number, one in enumerate(saves)
             if one.name == "write" and "/.iter_2.pth" in one.path)
    training = TinyTraining(data, tmp_path / "work")
    assert kill_and_continue(training, undisturbed, at=at, fault=KILL, counts=of_checkpoints)


@pytest.mark.faults
def test_a_training_killed_at_each_operation_of_a_save_continues_to_the_same_end(
        data, undisturbed, tmp_path):
    saves = [one for one in undisturbed.seen if of_checkpoints(one)]
    assert len(saves) > 20
    for at in range(len(saves)):
        training = TinyTraining(data, tmp_path / f"work_{at}")
        assert kill_and_continue(training, undisturbed, at=at, fault=KILL, counts=of_checkpoints)
    print(f"\ntraining killed at each of {len(saves)} operations of its saves: all continued")


@pytest.mark.faults
def test_a_training_killed_at_random_moments_continues_to_the_same_end(
        data, undisturbed, tmp_path):
    start = time.monotonic()
    TinyTraining(data, tmp_path / "timed").run()
    seconds = time.monotonic() - start
    draw, killed = random.Random(0), 0
    for number in range(20):
        training = TinyTraining(data, tmp_path / f"work_{number}")
        killed += kill_and_continue(
            training, undisturbed, kill_after=draw.uniform(0.1, seconds))
    print(f"\ntraining killed at {killed} of 20 random moments: all continued")
    assert killed >= 10


@pytest.mark.faults
def test_a_training_killed_again_and_again_arrives(data, undisturbed, tmp_path):
    """Each start is killed at the next save; each save must bring the run forward."""
    training = TinyTraining(data, tmp_path / "work")
    for _ in range(3):
        ended = training.run(at=0, fault=KILL, counts=lambda one: one.name == "remove")
        training.check_nothing_half_written()
    assert ended.code == KILLED
    assert training.run().code == 0
    training.check_finished_like(undisturbed)


@pytest.mark.parametrize("name", [
    "rename", *(pytest.param(name, marks=pytest.mark.faults) for name in ("open", "write"))])
def test_a_killed_merge_is_repeated_to_the_same_end(data, undisturbed, tmp_path, name):
    parts = data / "backbone.pth", undisturbed.work_dir / "iter_3.pth"
    default = Config(training_config(data).to_dict())
    with file_faults(tmp_path) as seen:
        expected = ckpt.load_file(merge_files(*parts, tmp_path / "whole.pth", default))
    numbers = [number for number, one in enumerate(seen) if one.name == name]
    assert numbers
    for at in numbers:
        out = tmp_path / f"{at}/merged.pth"

        def merge(at=None, out=out):
            with file_faults(out.parent, at, KILL):
                merge_files(*parts, out, default)

        out.parent.mkdir()
        assert in_child(merge, at).code == KILLED
        assert not out.exists()
        merge()
        check_equal(ckpt.load_file(out), expected)
