"""Curves of a training run, as mmengine's LocalVisBackend logs its scalars: JSON, a line a time."""

import json
import math
from collections.abc import Sequence
from pathlib import Path

Curves = dict[str, list[tuple[int, float]]]
"""Name of a scalar -> (step, value), in order of steps."""

_NOT_SHOWN = {"step", "iter", "epoch", "time", "data_time", "memory", "base_lr"}


def read_curves(files: Sequence[Path]) -> Curves:
    """Read scalars; where several files have a step, the later file counts, as after a resume.

    Args:
        files: `scalars.json` of the starts of one run, in order; lines that do not parse, such as
            the last of a run that was killed, are left out.
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
