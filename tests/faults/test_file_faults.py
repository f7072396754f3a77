"""The injector counts every operation, and fails or kills at the chosen one."""

import errno
import os
import signal
import time

import numpy as np
import torch
from faults.file_faults import KILL, file_faults, in_child
from tqdm import tqdm

from rein.atomic_files import write_atomically


def test_each_operation_of_an_atomic_write_is_counted(tmp_path):
    with file_faults(tmp_path) as seen:
        write_atomically(tmp_path / "folder/a.txt", "text")
    assert [(one.name, one.path.rpartition("/")[2].partition(".")[0]) for one in seen] == [
        ("mkdir", "folder"), ("open", ""), ("open", ""), ("write", ""), ("rename", "a")]


def test_an_operation_fails_once_or_from_then_on(tmp_path):
    for lasting, after in ((False, "again"), (True, "old")):
        path = tmp_path / "a.txt"
        path.write_text("old")
        with file_faults(tmp_path, 1, errno.ENOSPC, lasting):
            for _ in range(2):
                try:
                    path.write_text("again") if not lasting else write_atomically(path, "again")
                except OSError as error:
                    assert error.errno == errno.ENOSPC and "a.txt" in error.filename
        assert path.read_text() == after


def test_numpy_and_torch_files_are_counted(tmp_path):
    with file_faults(tmp_path) as seen:
        np.savez(tmp_path / "a.npz", a=np.ones(3))
        with open(tmp_path / "a.pth", "wb") as file:
            torch.save(dict(a=torch.ones(3)), file)
    assert {(one.name, one.path.rpartition("/")[2]) for one in seen} == {
        (name, path) for name in ("open", "write") for path in ("a.npz", "a.pth")}


def test_a_killed_write_leaves_half_a_file(tmp_path):
    def work():
        with file_faults(tmp_path, 1, KILL):
            (tmp_path / "a.txt").write_text("0123456789")

    assert in_child(work).code == -signal.SIGKILL
    assert (tmp_path / "a.txt").read_text() == "01234"


def test_a_child_ends_as_told_and_is_heard():
    ended = in_child(print, "said")
    assert (ended.code, ended.out) == (0, "said\n")
    assert in_child(lambda: 3).code == 3
    assert "ZeroDivisionError" in in_child(lambda: 1 / 0).err


def test_a_child_killed_in_a_progress_bar_leaves_its_lock_open():
    def work():
        with tqdm.get_lock():
            os.kill(os.getpid(), signal.SIGKILL)

    locks = tqdm.get_lock().locks  # made on first use, before the fork
    assert in_child(work).code == -signal.SIGKILL
    for lock in locks:
        assert lock.acquire(timeout=1)
        lock.release()


def test_a_child_that_hangs_shows_where(monkeypatch):
    monkeypatch.setattr("faults.file_faults.DEADLINE", 0.2)
    ended = in_child(time.sleep, 60)
    assert ended.code == -signal.SIGABRT
    assert "in test_a_child_that_hangs_shows_where" in ended.err
