"""Time two ways to do the same thing in turn, so that a machine's noise affects both."""

import gc
import platform
import re
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import NamedTuple

import torch


class Row(NamedTuple):
    """One comparison.

    Attributes:
        what: The measured subject, with sizes.
        ours: Median of this project's way.
        reference: Median of the reference's way.
        unit: Unit of both, such as "s", "ms/image" or "MiB".
        ratio: Median of reference / ours over the pairs: above 1 means ours is faster or smaller.
        spread: Lowest and highest ratio of a pair.
        goal: Target ratio, or None.
    """

    what: str
    ours: float
    reference: float
    unit: str
    ratio: float
    spread: tuple[float, float]
    goal: float | None = None


def compare(what: str, ours: Callable[[], object], reference: Callable[[], object],
            repeats: int = 5, unit: str = "s", scale: float = 1.0,
            goal: float | None = None) -> Row:
    """Time two callables in turn, after one warm-up run of each.

    Args:
        what: As in `Row`.
        ours: This project's way.
        reference: The other way, with an equal result.
        repeats: Pairs to time.
        unit: Unit of the seconds times `scale`.
        scale: Factor, such as 1000 / images for "ms/image".
        goal: As in `Row`.

    Returns:
        The row.
    """
    pairs = [(seconds(ours), seconds(reference)) for _ in range(repeats + 1)][1:]
    return row_of(what, [(scale * a, scale * b) for a, b in pairs], unit, goal)


def row_of(what: str, pairs: list[tuple[float, float]], unit: str,
           goal: float | None = None) -> Row:
    """Summarise (ours, reference) pairs in a row, however they were measured."""
    ratios = [reference / ours for ours, reference in pairs]
    return Row(what, median(a for a, _ in pairs), median(b for _, b in pairs), unit,
               median(ratios), (min(ratios), max(ratios)), goal)


def seconds(function: Callable[[], object]) -> float:
    """Measure the wall time of one call, including the accelerator's work."""
    gc.collect()
    _synchronize()
    start = time.perf_counter()
    function()
    _synchronize()
    return time.perf_counter() - start


def _synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def peak_mib() -> float:
    """Return this process's peak memory; ru_maxrss would include the parent's."""
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text()).group(1)) / 1024


def device_name() -> str:
    """Describe the machine: accelerator or processor, threads, versions."""
    if torch.cuda.is_available():
        device = torch.cuda.get_device_name()
    else:
        device = f"{_processor()}, {torch.get_num_threads()} threads"
    return f"{device}; Python {platform.python_version()}, torch {torch.__version__}"


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.split(":")[1].strip() for line in file if "model name" in line)
    except (OSError, StopIteration):  # not Linux, or a processor without a name
        return platform.processor() or platform.machine()


def text_table(rows: list[Row]) -> str:
    """Format rows as a Markdown table."""
    lines = ["| what | ours | reference | ratio (lowest to highest) | goal |",
             "| :-- | --: | --: | --: | --: |"]
    for row in rows:
        goal = "" if row.goal is None else f"{row.goal:g}x"
        lines.append(
            f"| {row.what} | {row.ours:.4g} {row.unit} | {row.reference:.4g} {row.unit} "
            f"| {row.ratio:.2f}x ({row.spread[0]:.2f} to {row.spread[1]:.2f}) | {goal} |")
    return "\n".join(lines)
