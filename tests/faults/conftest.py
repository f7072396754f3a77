"""Fixtures of the fault harness: a tiny training, undisturbed and in a child process."""

import contextlib

import pytest
from faults.file_faults import file_faults, in_child
from tiny_training import check_equal, training_config, write_training_data

from rein import checkpoint as ckpt
from rein.cli import run_cli
from rein.engine.training.run import train
from rein.engine.training.saving import is_whole, latest_checkpoint


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """Labelled images and frozen weights."""
    return write_training_data(tmp_path_factory.mktemp("data"))


class TinyTraining:
    """Three iterations with a checkpoint after each, of which the last is kept.

    Args:
        data: Folder of the images.
        work_dir: Folder of the run.
        iterations: Length of the training.
    """

    def __init__(self, data, work_dir, iterations=3):
        self.data, self.work_dir, self.iterations = data, work_dir, iterations

    def run(self, at=None, fault=None, kill_after=None, **watch):
        """Start the training, or continue it if it has a checkpoint, in a child process."""
        return in_child(self.run_here, at, fault, watch, kill_after=kill_after)

    def run_here(self, at=None, fault=None, watch=None):
        """Do the same in this process."""
        cfg = training_config(self.data, self.iterations)
        cfg.default_hooks.checkpoint.update(interval=1, max_keep_ckpts=1)
        resume = "auto" if latest_checkpoint(self.work_dir) else None
        watching = contextlib.nullcontext() if at is None else file_faults(
            self.work_dir, at, fault, **watch or {})
        with watching:
            run_cli(lambda: print(train(cfg, "run", str(self.work_dir), resume=resume)))

    def operations(self, counts):
        """Count the file operations of an undisturbed training, in this process."""
        with file_faults(self.work_dir, counts=counts) as seen, pytest.raises(SystemExit):
            self.run_here()
        return list(seen)

    def last(self):
        """Return the content of the checkpoint that the finished training leaves behind."""
        return ckpt.load_file(self.work_dir / f"iter_{self.iterations}.pth")

    def check_nothing_half_written(self):
        """Check that each file named like a checkpoint is one."""
        paths = list(self.work_dir.glob("*.pth"))
        assert all(map(is_whole, paths)), paths
        assert bool(paths) == bool(latest_checkpoint(self.work_dir))

    def check_finished_like(self, other):
        """Check that the checkpoint is bit-equal to another run's, and that it is alone."""
        found, expected = self.last(), other.last()
        for key in ("state_dict", "optimizer", "param_schedulers"):
            check_equal(found[key], expected[key])
        names = {path.name for path in self.work_dir.iterdir()
                 if path.is_file() and path.suffix != ".py"}  # mmengine's copy of the config
        assert names == {f"iter_{self.iterations}.pth", "last_checkpoint"}


@pytest.fixture(scope="session")
def undisturbed(data, tmp_path_factory):
    """A finished training, with `operations`, all file operations below its work dir."""
    training = TinyTraining(data, tmp_path_factory.mktemp("undisturbed") / "work")
    training.seen = training.operations(lambda operation: operation.name != "read")
    return training
