import os

import pytest

from rein.atomic_files import remove_stale, replacing, write_atomically


def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    def full_disk(source, target):
        raise OSError("No space left on device")

    (tmp_path / "label.png").write_bytes(b"old")
    monkeypatch.setattr(os, "replace", full_disk)
    with pytest.raises(OSError, match="No space"):
        write_atomically(tmp_path / "label.png", b"new")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


def test_a_file_is_replaced_whole_and_its_folder_created(tmp_path):
    path = tmp_path / "new/folder/a.txt"
    write_atomically(path, "longer than before: ä")
    write_atomically(path, "ö")
    assert path.read_bytes() == "ö".encode()
    assert list(path.parent.iterdir()) == [path]


def test_an_error_while_writing_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), replacing(path) as temporary:
        assert temporary.parent == tmp_path  # a rename across file systems would not be atomic
        temporary.write_text("ne")
        raise KeyboardInterrupt
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_an_error_of_the_clean_up_neither_hides_the_first_nor_fails_a_whole_file(
        tmp_path, monkeypatch):
    def broken(path, *_, **__):
        raise OSError("clean-up")

    monkeypatch.setattr(type(tmp_path), "unlink", broken)
    write_atomically(tmp_path / "a.txt", "whole")
    with pytest.raises(ValueError, match="first"), replacing(tmp_path / "a.txt"):
        raise ValueError("first")
    assert (tmp_path / "a.txt").read_text() == "whole"


def test_only_temporary_files_of_dead_processes_are_stale(tmp_path):
    dead = os.fork() or os._exit(0)
    os.waitpid(dead, 0)
    kept = [tmp_path / name for name in (f".a.txt.{os.getppid()}.tmp", ".notes.tmp", "a.txt")]
    for path in (*kept, tmp_path / f".a.txt.{dead}.tmp", tmp_path / f".a.txt.{os.getpid()}.tmp"):
        path.touch()
    remove_stale(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted(kept)
