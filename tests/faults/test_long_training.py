"""A long training neither leaks memory nor files nor processes."""

import os
import resource
from pathlib import Path

import pytest
from mmengine.hooks import Hook
from tiny_training import training_config

from rein.engine.training.run import train
from rein.engine.training.runner import ReinRunner

ITERATIONS, WARM = 2000, 500


class Resources(Hook):
    """Note memory (MiB), open files and child processes during training."""

    priority = "VERY_LOW"

    def __init__(self):
        self.seen = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if (batch_idx + 1) % WARM == 0:
            status = Path("/proc/self/statm").read_text().split()
            children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
            self.seen.append((
                int(status[1]) * resource.getpagesize() / 2**20,
                len(os.listdir("/proc/self/fd")), len(children)))


@pytest.mark.faults
def test_2000_iterations_leak_neither_memory_nor_files_nor_processes(
        data, tmp_path, monkeypatch):
    watch = Resources()
    register = ReinRunner.register_hooks

    def register_all(runner, *hooks):
        register(runner, *hooks)
        runner.register_hook(watch)

    monkeypatch.setattr(ReinRunner, "register_hooks", register_all)
    cfg = training_config(data, ITERATIONS, workers=1)
    cfg.default_hooks.checkpoint.update(interval=ITERATIONS // 20, max_keep_ckpts=2)
    cfg.default_hooks.logger.interval = 50
    train(cfg, "run", str(tmp_path))
    (memory, files, processes), *_, last = watch.seen
    print(f"\n{ITERATIONS} iterations: memory {memory:.0f} -> {last[0]:.0f} MiB, open files "
          f"{files} -> {last[1]}, processes {processes} -> {last[2]}")
    assert last[0] < memory + 24  # mmengine keeps the losses of all iterations: 1 KiB each
    assert last[1] <= files and last[2] <= processes
    assert len(list(tmp_path.glob("*.pth"))) == 2
    assert not list(tmp_path.glob(".*"))
