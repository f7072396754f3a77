import os

import pytest

from rein.atomic_files import replacing, write_atomically


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
