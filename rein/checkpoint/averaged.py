"""Weights averaged over training (EMA), and the raw ones beside them.

Source: mmengine's `EMAHook`. Checkpoints hold the averaged weights in `state_dict`, and the raw
ones, from which training continues, in `ema_state_dict`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rein.checkpoint.io import CALIBRATION, FEATURE_STATISTICS, meta_of
from rein.errors import UserError

RAW_WEIGHTS = "ema_state_dict"
RAW_PREFIX = "module."
"""Prefix of the names in it."""


def with_raw_weights(content: Mapping[str, Any], source: str | Path) -> dict[str, Any]:
    """Return a checkpoint with the raw weights in place of their average.

    Args:
        content: Content of a training checkpoint.
        source: Its path, named in messages.

    Raises:
        UserError: It has no averaged weights.
    """
    raw = content.get(RAW_WEIGHTS)
    if not isinstance(raw, Mapping):
        raise UserError(f"{source}: its weights are not averaged. Remove --raw-weights.")
    weights = {name.removeprefix(RAW_PREFIX): value for name, value in raw.items()
               if name.startswith(RAW_PREFIX)}
    # a calibration is of the averaged weights
    meta = {key: value for key, value in meta_of(content).items()
            if key not in (CALIBRATION, FEATURE_STATISTICS)}
    return {**content, "meta": meta, "state_dict": {**content["state_dict"], **weights}}
