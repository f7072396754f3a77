"""Tell which parts of a config shape a training, and in which of them two configs differ."""

import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rein.paths import WEIGHT_KEYS

_SHAPING = ("model", "train_dataloader", "optim_wrapper", "param_scheduler", "train_cfg",
            "custom_hooks")
_NOT_SHAPING = {"test_cfg", "data_root", "num_workers", "persistent_workers", "prefetch_factor",
                "pin_memory"}
# what a run may change on its way: its length, tests, speed and memory; the fingerprint of frozen
# weights identifies the backbone's file
_MAY_CHANGE = {
    "max_iters", "max_epochs", "val_interval", "val_begin", "dynamic_intervals", "with_cp",
    "precision", "frozen_dtype", *WEIGHT_KEYS, "optim_wrapper.type", "optim_wrapper.dtype",
    "optim_wrapper.loss_scale"}
_UNSET = "(unset)"


def shaping(cfg: Mapping[str, Any]) -> dict[str, Any]:
    """Return the sections that shape a training, without paths; files count by their name."""
    return {name: _shaping(cfg.get(name)) for name in _SHAPING}


def _shaping(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): Path(one).name if key in WEIGHT_KEYS and isinstance(one, str)
                else _shaping(one) for key, one in value.items() if key not in _NOT_SHAPING}
    return [_shaping(one) for one in value] if isinstance(value, list | tuple) else value


def list_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """List what would shape the rest of a training differently, with both values.

    Whatever may change on the way is left out. So are absolute paths but for their last part, and,
    with several processes, the batch size of each, which may follow their number.
    """
    may_change = _MAY_CHANGE
    if any(cfg.get("launcher", "none") != "none" for cfg in (before, now)):
        may_change = may_change | {"train_dataloader.batch_size"}
    return list(_changes(shaping(before), shaping(now), "", may_change))


def _changes(before: Any, now: Any, path: str, may_change: set[str]) -> Iterator[str]:
    if {path, path.rpartition(".")[2]} & may_change:
        return
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        before, now = dict(enumerate(before)), dict(enumerate(now))
    if isinstance(before, dict) and isinstance(now, dict):
        for key in {**before, **now}:
            yield from _changes(before.get(key, _UNSET), now.get(key, _UNSET),
                                f"{path}.{key}".removeprefix("."), may_change)
    elif _name(before) != _name(now):
        was, is_ = (textwrap.shorten(str(value), 60) for value in (before, now))
        yield f"{path} was {was} and is {is_}"


def _name(value: Any) -> Any:
    is_path = isinstance(value, str) and Path(value).is_absolute()
    return Path(value).name if is_path else value
