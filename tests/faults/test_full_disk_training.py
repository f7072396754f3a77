"""A training whose disk fails ends in one line and loses nothing."""

import errno
import itertools
import re

import pytest
from faults.conftest import TinyTraining
from faults.file_faults import file_faults
from mmengine.config import Config
from tiny_training import check_equal, training_config

from rein import checkpoint as ckpt
from rein.engine.weights.files import merge_files
from rein.errors import UserError

ERRORS = {errno.ENOSPC: "No space left", errno.EIO: "Input/output error",
          errno.EACCES: "Permission denied"}


def number_of(seen, name, path):
    """Return the number of the first operation of this name on a file."""
    return next(number for number, one in enumerate(seen)
                if one.name == name and re.search(path, one.path))


def fail_and_continue(training, undisturbed, at, code, lasting=False):
    """Train while the operation `at` fails; check what is said and left, and continue."""
    ended = training.run(at, code, lasting=lasting)
    said = [line for line in ended.err.splitlines() if line.strip()]
    assert "Traceback" not in ended.err, ended.err[-3000:]
    training.check_nothing_half_written()
    if ended.code:
        assert ended.code == 1 and said[-1].startswith("error: "), ended.err
        assert ERRORS[code] in said[-1]
    # the log's gaps are a warning of one line
    assert len([line for line in said if not line.startswith("warning: ")]) == bool(ended.code)
    again = training.run()
    assert again.code == 0, again.err
    training.check_finished_like(undisturbed)
    return ended


@pytest.mark.faults
def test_a_disk_that_fills_up_while_saving_leaves_the_last_checkpoint(
        data, undisturbed, tmp_path):
    at = number_of(undisturbed.seen, "write", r"/\.iter_2\.pth")
    ended = fail_and_continue(
        TinyTraining(data, tmp_path / "work"), undisturbed, at, errno.ENOSPC, lasting=True)
    assert re.search(r"iter_2.pth: cannot be saved \(No space left on device\)\. Earlier "
                     "checkpoints are unchanged.*continue with --resume", ended.err)


@pytest.mark.faults
def test_each_file_operation_of_a_training_may_fail(data, undisturbed, tmp_path):
    """The first of each kind on each file, and all of the second save."""
    seen, chosen = undisturbed.seen, {}
    for number, one in enumerate(seen):
        again = "/.iter_2.pth" in one.path or "/iter_2.pth" in one.path
        chosen.setdefault((*one, number if again else 0), number)
    ends = []
    for at, code in zip(chosen.values(), itertools.cycle(ERRORS)):
        ended = fail_and_continue(
            TinyTraining(data, tmp_path / f"work_{at}"), undisturbed, at, code)
        ends.append(ended.code)
    print(f"\n{len(ends)} file operations of a training failed: {ends.count(1)} ended it in one "
          f"line, {ends.count(0)} were survived; all continued to the same end")


@pytest.mark.parametrize("code", [
    errno.ENOSPC, *(pytest.param(c, marks=pytest.mark.faults) for c in (errno.EIO, errno.EACCES))])
def test_a_merge_on_a_failing_disk_leaves_the_old_file(data, undisturbed, tmp_path, code):
    parts = data / "backbone.pth", undisturbed.work_dir / "iter_3.pth", tmp_path / "out.pth"
    default = Config(training_config(data).to_dict())
    old = dict(state_dict=dict(old=ckpt.load_file(data / "backbone.pth")["norm.bias"]))
    ckpt.save_file(old, parts[2])
    with file_faults(tmp_path) as seen:
        ckpt.save_file(old, parts[2])
    for at, one in enumerate(seen):
        if one.name in ("mkdir", "remove"):
            continue
        with file_faults(tmp_path, at, code), pytest.raises(UserError, match=ERRORS[code]):
            merge_files(*parts, default, overwrite=True)
        check_equal(ckpt.load_file(parts[2]), old)
        assert [path.name for path in tmp_path.iterdir()] == ["out.pth"]
