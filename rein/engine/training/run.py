"""Train from a config; the function behind tools/train.py."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import torch
from mmengine.config import Config

from rein.engine.configs.checking import check_config
from rein.engine.training.resuming import (
    adopt_seed,
    adopt_start,
    check_unchanged,
    check_unused,
    find_resumed,
    is_in,
)
from rein.engine.training.runner import ReinRunner
from rein.engine.training.saving import latest_checkpoint
from rein.engine.training.schedules import check_schedule
from rein.errors import UserError
from rein.folders import new_folders, only_writer
from rein.paths import find_path

_RANK = {"pytorch": "RANK", "slurm": "SLURM_PROCID", "mpi": "OMPI_COMM_WORLD_RANK"}
"""Launcher -> the environment variable that numbers its processes."""


def train(
    cfg: Config,
    name: str,
    work_dir: str | None = None,
    resume: str | None = None,
    amp: bool = False,
    launcher: str = "none",
    allow_other_backbone: bool = False,
    force: bool = False,
) -> str:
    """Train a model.

    Args:
        cfg: The whole config; updated in place to the settings of the run.
        name: Name of the run.
        work_dir: Folder for logs and checkpoints. Default: the config's, else work_dirs/NAME.
        resume: A checkpoint to continue from, or "auto" for the latest in the work dir.
        amp: Train in float16 with loss scaling; use `model.precision` for bfloat16.
        launcher: none, pytorch, slurm or mpi.
        allow_other_backbone: Accept a start checkpoint trained with another frozen backbone.
        force: Delete the checkpoints of an earlier run in the work dir.

    Returns:
        Path of the last checkpoint, or the work dir if there is none.

    Raises:
        UserError: Data, weights or a checkpoint are missing or do not fit, the work dir is in use,
            the disk fails, or the loss is not finite.
    """
    check_config(cfg)
    cfg.work_dir = work_dir or cfg.get("work_dir") or str(Path("work_dirs") / name)
    if resume == "auto":
        cfg.work_dir = find_path(cfg.work_dir)  # go on where the run is
    cfg.launcher = launcher
    if amp:
        if not torch.cuda.is_available():
            raise UserError("--amp needs a GPU, but torch finds none. Remove --amp.")
        if cfg.model.get("precision", "fp32") != "fp32":
            raise UserError("--amp trains in float16, but model.precision is "
                            f"{cfg.model.precision}. Remove one of them.")
        cfg.optim_wrapper.update(type="AmpOptimWrapper", loss_scale="dynamic")
    check_schedule(cfg)
    try:
        with _claimed(Path(cfg.work_dir), launcher):
            resumed = find_resumed(cfg, resume)
            if not force:
                check_unused(cfg.work_dir, resumed)
            if resumed:
                adopt_seed(cfg, resumed)
                check_unchanged(cfg, resumed)
                adopt_start(cfg, resumed)
            cfg.resume = resumed is not None
            runner = ReinRunner.from_cfg(cfg)
            runner.allow_other_backbone = allow_other_backbone
            runner.replaces_earlier_run = force and not is_in(resumed, cfg.work_dir)
            runner.train()
            return latest_checkpoint(cfg.work_dir) or cfg.work_dir
    except OSError as error:
        raise UserError(
            f"{error.filename or cfg.work_dir}: {error.strerror or error}. Correct that; if there "
            "is a checkpoint, continue from it with --resume.") from error


@contextlib.contextmanager
def _claimed(work_dir: Path, launcher: str) -> Iterator[None]:
    """Lock the work dir in the main process, for one training at a time.

    Raises:
        UserError: Another training is writing to it.
    """
    if int(os.environ.get(_RANK.get(launcher, ""), 0)):  # torch does not yet number the processes
        yield
        return
    with new_folders(work_dir), only_writer(work_dir, "training"):
        yield
