"""Read training curves from the scalars that mmengine's LocalVisBackend logs as JSON lines."""

import json
import math
from collections.abc import Sequence
from pathlib import Path

Curves = dict[str, list[tuple[int, float]]]
"""Name of a scalar -> (step, value), ordered by step."""

_NOT_SHOWN = {"step", "iter", "epoch", "time", "data_time", "memory", "base_lr"}


def read_curves(files: Sequence[Path]) -> Curves:
    """Read scalars; a later file replaces those of earlier ones from its first step on.

    Args:
        files: The `scalars.json` of each start of one run, in order. A start may resume from an
            earlier step than the last one reached. Lines that do not parse, such as the last line
            of a killed run, are skipped.
    """
    found: dict[str, dict[int, float]] = {}
    for file in files:
        new = _read_scalars(file)
        first = min((step for points in new.values() for step in points), default=math.inf)
        for points in found.values():
            for step in [step for step in points if step >= first]:
                del points[step]
        for name, points in new.items():
            found.setdefault(name, {}).update(points)
    return {name: sorted(points.items()) for name, points in found.items() if points}


def _read_scalars(file: Path) -> dict[str, dict[int, float]]:
    """Read one file: name of a scalar -> step -> value."""
    found: dict[str, dict[int, float]] = {}
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            entry = json.loads(line, parse_int=float)  # any number of digits
            step = int(entry["step"])
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            continue
        for name, value in entry.items():
            if name in _NOT_SHOWN or not isinstance(value, float):
                continue
            if math.isfinite(value):
                found.setdefault(name, {})[step] = float(value)
    return found
