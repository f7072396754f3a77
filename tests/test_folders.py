"""Files of one folder change together, and one process at a time writes to it."""

import os
import time

import pytest

from rein.atomic_files import naming_failures
from rein.errors import UserError
from rein.folders import only_writer, remove_leftovers, replacing_together


def test_a_second_writer_is_refused_until_the_first_ends(tmp_path):
    with only_writer(tmp_path / "new", "test"):
        with pytest.raises(UserError, match="new: another test is writing to this folder"), \
                only_writer(tmp_path / "new", "test"):
            pass
        with only_writer(tmp_path / "other", "test"):
            pass
    with only_writer(tmp_path / "new", "test"):
        assert list((tmp_path / "new").iterdir()) == []


def test_a_killed_writer_leaves_no_lock(tmp_path):
    ready, tell = os.pipe()
    child = os.fork()
    if not child:
        try:
            with only_writer(tmp_path, "test"):
                os.write(tell, b"!")
                time.sleep(60)
        finally:
            os._exit(1)
    try:
        os.read(ready, 1)
        with pytest.raises(UserError, match="another test"), only_writer(tmp_path, "test"):
            pass
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)
    with only_writer(tmp_path, "test"):
        pass


def test_a_forked_worker_that_outlives_its_writer_holds_no_lock(tmp_path):
    ready, tell = os.pipe()
    with only_writer(tmp_path, "test"):
        worker = os.fork()
        if not worker:
            os.write(tell, b"!")
            time.sleep(60)
            os._exit(0)
        os.read(ready, 1)
        with pytest.raises(UserError, match="another test"), only_writer(tmp_path, "test"):
            pass
    try:
        with only_writer(tmp_path, "test"):
            pass
    finally:
        os.kill(worker, 9)
        os.waitpid(worker, 0)


@pytest.fixture
def folder(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).write_text("old")
    return tmp_path


def contents(folder):
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_files_are_moved_together_and_the_marker_last(folder, monkeypatch):
    moved, move = [], os.replace
    monkeypatch.setattr(os, "replace", lambda old, new: (moved.append(new.name), move(old, new)))
    with replacing_together(folder, last="b") as staging:
        for name in "abc":
            (staging / name).write_text("new")
        assert moved == []
    assert contents(folder) == dict(a="new", b="new", c="new") and moved == ["a", "c", "b"]


@pytest.mark.parametrize("failing", range(3))
def test_a_failing_move_restores_every_file(folder, monkeypatch, failing):
    count, move = iter(range(9)), os.replace

    def fail_once(old, new):
        if next(count) == failing:
            raise OSError(5, "Input/output error")
        move(old, new)

    monkeypatch.setattr(os, "replace", fail_once)
    with pytest.raises(UserError, match=r"cannot be written \(Input/output error\). Again."), \
            naming_failures(folder, "Again."), replacing_together(folder, last="b") as staging:
        for name in "abc":
            (staging / name).write_text("new")
    assert contents(folder) == dict(a="old", b="old")


def test_only_temporary_files_are_leftovers(tmp_path):
    kept = [tmp_path / name for name in ("new.1.tmp", "x/.a.txt.1.tmp", "x/a.png")]
    for path in (*kept, tmp_path / ".new.7.tmp/a", tmp_path / "x/.a.png.7.tmp"):
        path.parent.mkdir(exist_ok=True)
        path.touch()
    remove_leftovers(tmp_path, tmp_path / "x")
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == sorted(kept)
