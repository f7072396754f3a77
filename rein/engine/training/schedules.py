"""Check that schedules, such as that of the learning rate, fit the length of training."""

from collections.abc import Mapping
from typing import Any

from mmengine.config import Config

from rein.errors import UserError


def check_schedule(cfg: Config) -> None:
    """Check that what is scheduled changes, and the learning rate is not 0 before training ends.

    Args:
        cfg: The whole config: `param_scheduler`, and `max_iters` or `max_epochs` in `train_cfg`.

    Raises:
        UserError: The schedule reaches 0 earlier, or counts epochs where there are none.
    """
    schedulers = cfg.get("param_scheduler") or []
    schedulers = [schedulers] if isinstance(schedulers, Mapping) else schedulers
    loop = cfg.get("train_cfg") or {}
    for number, scheduler in enumerate(schedulers):
        without_epochs = loop.get("type") == "IterBasedTrainLoop" or loop.get("by_epoch") is False
        if (without_epochs and scheduler.get("by_epoch", True)
                and not scheduler.get("convert_to_iter_based")):
            raise UserError(
                f"param_scheduler.{number} ({scheduler['type']}) changes "
                f"{scheduler.get('param_name', 'the learning rate')} from epoch to epoch, but "
                "IterBasedTrainLoop trains without epochs. Set by_epoch=False, so that begin and "
                "end count iterations.")
        unit = "epochs" if scheduler.get("by_epoch", True) else "iters"
        length, end = loop.get(f"max_{unit}"), scheduler.get("end")
        if not isinstance(length, int) or not isinstance(end, int):
            continue  # absent, or refused by the loop and the scheduler
        if end >= length or not _reaches_zero(scheduler):
            continue
        raise UserError(
            f"train_cfg.max_{unit} is {length}, but the learning rate of param_scheduler.{number} "
            f"({scheduler['type']}) is 0 from {end} on. Use `--cfg-options "
            f"train_cfg.max_{unit}={length} param_scheduler.{number}.end={length}`, or train for "
            f"{end}.")


def _reaches_zero(scheduler: Mapping[str, Any]) -> bool:
    """Tell whether a schedule ends at 0 and stays there."""
    kind = str(scheduler.get("type")).removesuffix("LR")
    if kind == "Linear":
        return scheduler.get("end_factor", 1.0) == 0
    # the final value is `eta_min`, 0 by default
    return kind in ("Poly", "CosineAnnealing") and not (
        scheduler.get("eta_min") or scheduler.get("eta_min_ratio"))
