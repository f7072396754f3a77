"""Read training curves from the scalars that mmengine's LocalVisBackend logs as JSON lines."""

import json
import math
from collections.abc import Sequence
from pathlib import Path

Curves = dict[str, list[tuple[int, float]]]
"""Name of a scalar -> (step, value), ordered by step."""

_NOT_SHOWN = {"step", "iter", "epoch", "time", "data_time", "memory", "base_lr"}


def read_curves(files: Sequence[Path]) -> Curves:
    """Read scalars; a later file replaces the steps of an earlier one, as after a resume.

    Args:
        files: The `scalars.json` of each start of one run, in order. Lines that do not parse,
            such as the last line of a killed run, are skipped.
    """
    found: dict[str, dict[int, float]] = {}
    for file in files:
        for line in file.read_text(encoding="utf-8").splitlines():
            try:
                entry = json.loads(line)
                step = int(entry["step"])
            except (ValueError, KeyError, TypeError):
                continue
            for name, value in entry.items():
                if name in _NOT_SHOWN or not isinstance(value, int | float):
                    continue
                if math.isfinite(value):
                    found.setdefault(name, {})[step] = float(value)
    return {name: sorted(points.items()) for name, points in found.items()}
