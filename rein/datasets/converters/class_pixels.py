"""Count the pixels of each class in converted labels, in total and per image.

Use the counts for class weights, for sampling rare classes more often, and as a quick check of a
conversion: no class of a dataset should be missing.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rein.atomic_files import CONTINUES, naming_failures, write_atomically
from rein.datasets.label_maps import CLASSES, IGNORE_INDEX
from rein.errors import UserError

STATISTICS_FILE = "class_pixels.json"

ClassPixels = dict[int, int]
"""trainId -> number of pixels, for the values that occur."""


def count_pixels(labels: np.ndarray) -> ClassPixels:
    """Count the pixels of each value.

    Labels consist of long runs. Adding up run lengths is two to five times as fast as a histogram
    over the pixels (0.6 to 1.7 ms instead of 3.5 ms for 1914 x 1052).

    Args:
        labels: uint8 array (H, W).
    """
    flat = labels.reshape(-1)
    starts = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    lengths = np.diff(starts, prepend=0, append=flat.size)
    values = flat[np.concatenate([[0], starts])]
    counts = np.bincount(values, weights=lengths)  # float64: exact up to 2**53 pixels
    return {int(value): int(counts[value]) for value in np.flatnonzero(counts)}


def write_statistics(
    folder: Path, files: dict[str, ClassPixels], classes: Sequence[str] = CLASSES,
) -> Path:
    """Write FOLDER/class_pixels.json.

    `classes` maps each class to its number of pixels, `ignored` is the number of ignored pixels,
    `images` the number of files; `files` maps each label file, relative to the folder, to
    {trainId: pixels}.

    Args:
        folder: Label folder.
        files: Label file, relative to the folder -> pixels of each class.
        classes: Name of each trainId.

    Returns:
        The path of the written file.

    Raises:
        UserError: The file cannot be written.
    """
    total = np.zeros(256, np.int64)
    for pixels in files.values():
        total[list(pixels)] += list(pixels.values())
    content = {
        "classes": {name: int(total[i]) for i, name in enumerate(classes)},
        "ignored": int(total[IGNORE_INDEX]),
        "images": len(files),
        "files": dict(sorted(files.items())),
    }
    path = folder / STATISTICS_FILE
    with naming_failures(path, CONTINUES):
        write_atomically(path, json.dumps(content, separators=(",", ":")))
    return path


def describe_statistics(path: Path) -> str:
    """Summarize the share of each class in one line, most frequent first."""
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}).") from error
    total = sum(content["classes"].values()) + content["ignored"]
    shares = sorted(content["classes"].items(), key=lambda item: -item[1])
    words = [f"{name} {100 * count / total:.2g} %" for name, count in shares if count]
    absent = [name for name, count in shares if not count]
    if absent:
        words.append(f"absent: {', '.join(absent)}")
    words.append(f"ignored: {100 * content['ignored'] / total:.2g} %")
    return f"{path}: {content['images']} labels; {', '.join(words)}"
