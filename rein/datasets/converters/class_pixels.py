"""How many pixels of each class the converted labels hold, in all and image by image.

For class weights, for drawing images with rare classes more often, and to see at a glance that a
conversion went right: no class of a dataset should be missing.
"""

import json
from pathlib import Path

import numpy as np

from rein.atomic_files import write_atomically
from rein.datasets.label_maps import CLASSES, IGNORE_INDEX
from rein.errors import UserError

STATISTICS_FILE = "class_pixels.json"

ClassPixels = dict[int, int]
"""trainId -> number of pixels, for what occurs."""


def count_pixels(labels: np.ndarray) -> ClassPixels:
    """Count the pixels of each value.

    Labels are made of runs, so that counting by their lengths takes a half to a fifth of the time
    of a histogram over the pixels (0.6 to 1.7 ms against 3.5 ms for 1914 x 1052).

    Args:
        labels: uint8 array (H, W).
    """
    flat = labels.reshape(-1)
    starts = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    lengths = np.diff(starts, prepend=0, append=flat.size)
    values = flat[np.concatenate([[0], starts])]
    counts = np.bincount(values, weights=lengths)  # float64: exact up to 2**53 pixels
    return {int(value): int(counts[value]) for value in np.flatnonzero(counts)}


def write_statistics(folder: Path, files: dict[str, ClassPixels]) -> Path:
    """Write FOLDER/class_pixels.json.

    Its `classes` maps each class to its pixels, `ignored` counts the others, `images` the files;
    `files` maps each label, relative to the folder, to {trainId: pixels}.

    Args:
        folder: Folder of labels.
        files: Label file, relative to the folder -> its pixels.

    Returns:
        The file.

    Raises:
        UserError: It cannot be written.
    """
    total = np.zeros(256, np.int64)
    for pixels in files.values():
        total[list(pixels)] += list(pixels.values())
    content = {
        "classes": {name: int(total[i]) for i, name in enumerate(CLASSES)},
        "ignored": int(total[IGNORE_INDEX]),
        "images": len(files),
        "files": dict(sorted(files.items())),
    }
    path = folder / STATISTICS_FILE
    try:
        write_atomically(path, json.dumps(content, separators=(",", ":")).encode())
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error}).") from error
    return path


def describe_statistics(path: Path) -> str:
    """Tell the share of each class in one line, the most frequent first."""
    content = json.loads(path.read_bytes())
    total = sum(content["classes"].values()) + content["ignored"]
    shares = sorted(content["classes"].items(), key=lambda item: -item[1])
    words = [f"{name} {100 * count / total:.2g} %" for name, count in shares if count]
    absent = [name for name, count in shares if not count]
    if absent:
        words.append(f"absent: {', '.join(absent)}")
    words.append(f"ignored: {100 * content['ignored'] / total:.2g} %")
    return f"{path}: {content['images']} labels; {', '.join(words)}"
