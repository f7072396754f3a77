"""The last whole checkpoint survives, and is found again."""

import contextlib
import os
import shutil

import pytest

from rein.engine.training.saving import (
    SafeCheckpointHook,
    is_whole,
    latest_checkpoint,
    list_results,
)


@pytest.fixture
def run(finished, tmp_path):
    """A copy of a finished run, with checkpoints after two and four iterations."""
    return shutil.copytree(finished, tmp_path / "moved")


def latest(folder):
    found = latest_checkpoint(folder)
    return found and found.removeprefix(f"{folder}/")


def test_last_checkpoint_is_relative_so_that_a_moved_run_resumes(run):
    assert (run / "last_checkpoint").read_text() == "iter_4.pth"
    assert latest(run) == "iter_4.pth"


@pytest.mark.parametrize("text", [None, "", "\n", "\0", "iter_9.pth", "/gone/iter_9.pth"])
def test_the_newest_checkpoint_is_found_without_a_valid_last_checkpoint(run, text):
    (run / "last_checkpoint").unlink()
    if text is not None:
        (run / "last_checkpoint").write_text(text)
    (run / "iter_10.pth").write_bytes((run / "iter_4.pth").read_bytes()[:-100])
    shutil.copy(run / "iter_2.pth", run / "best_mIoU_iter_20.pth")
    assert latest(run) == "iter_4.pth"  # iter_10 is newer, but cut


def test_last_checkpoint_of_a_copied_run_names_the_copy(run, tmp_path):
    (run / "last_checkpoint").write_text(str(run / "iter_2.pth"))  # as older versions wrote it
    copy = shutil.copytree(run, tmp_path / "copy")
    assert latest(copy) == "iter_2.pth"
    shutil.rmtree(run)
    assert latest(copy) == "iter_2.pth"


def test_a_file_with_a_damaged_byte_is_not_whole(run):
    path = run / "iter_4.pth"
    assert is_whole(path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert not is_whole(path) and latest(run) == "iter_2.pth"
    shutil.rmtree(run)
    assert latest(run) is None and list_results(run) == []


class Runner:
    """A runner whose saving may fail."""

    replaces_earlier_run = False
    fails = False

    def __init__(self, folder):
        self.work_dir, self.events = str(folder), []
        self.logger, self.message_hub = self, self
        self.runtime_info = {}
        self.epoch = self.iter = 0

    def info(self, text):
        pass

    def update_info(self, key, value):
        self.runtime_info[key] = value

    def get_info(self, key):
        return self.runtime_info[key]

    def save_checkpoint(self, folder, name=None, *_, filename=None, **__):
        if self.fails:
            raise OSError("No space left")
        before = sorted(path for path in os.listdir(folder) if path.endswith(".pth"))
        self.events.append((name or filename, before))
        with open(os.path.join(folder, name or filename), "w"):
            pass


def hook_of(runner, **kwargs):
    hook = SafeCheckpointHook(by_epoch=False, interval=1, **kwargs)
    hook.before_train(runner)
    return hook


def names(folder):
    return sorted(path.name for path in folder.glob("*.pth"))


def test_an_old_checkpoint_is_removed_only_after_the_new_one_is_saved(tmp_path):
    runner = Runner(tmp_path)
    hook = hook_of(runner, max_keep_ckpts=1)
    for step in (2, 4):
        hook._save_checkpoint_with_step(runner, step, {})
    assert runner.events == [("iter_2.pth", []), ("iter_4.pth", ["iter_2.pth"])]
    assert names(tmp_path) == ["iter_4.pth"]
    runner.fails = True
    with pytest.raises(OSError, match="No space"):
        hook._save_checkpoint_with_step(runner, 6, {})
    assert names(tmp_path) == ["iter_4.pth"]
    assert (tmp_path / "last_checkpoint").read_text() == "iter_4.pth"


def test_resuming_removes_outdated_files_that_a_killed_run_left(tmp_path):
    for step in (2, 4):
        (tmp_path / f"iter_{step}.pth").touch()
    runner = Runner(tmp_path)
    runner.update_info("keep_ckpt_ids", [2, 4])  # as saved before the removal of iter_2
    hook_of(runner, max_keep_ckpts=1)
    assert names(tmp_path) == ["iter_4.pth"]


def test_the_best_checkpoint_is_removed_only_after_a_better_one_is_saved(tmp_path):
    old = tmp_path / "old"
    old.mkdir()
    (old / "best_mIoU_iter_1.pth").touch()
    copy = shutil.copytree(old, tmp_path / "copy")
    for fails, found in ((True, "best_mIoU_iter_1.pth"), (False, "best_mIoU_iter_2.pth")):
        runner = Runner(copy)
        runner.runtime_info.update(best_ckpt=str(old / "best_mIoU_iter_1.pth"), best_score=1.0)
        hook = hook_of(runner, save_best="mIoU", rule="greater")
        runner.iter, runner.fails = 2, fails
        with pytest.raises(OSError, match="No space") if fails else contextlib.nullcontext():
            hook._save_best_checkpoint(runner, {"mIoU": 2.0})
        assert names(copy) == [found]
    assert names(old) == ["best_mIoU_iter_1.pth"]  # a copied run leaves the original alone
