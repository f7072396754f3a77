"""Convert UrbanSyn labels to trainIds under the images' names; see `rein.datasets.descriptions`."""

from pathlib import Path

import numpy as np

from rein.datasets.converters.image_label_pairs import convert_pairs
from rein.datasets.converters.jobs import Report
from rein.datasets.converters.label_pngs import read_label_ids
from rein.datasets.descriptions.urbansyn import UNLABELLED, URBANSYN
from rein.datasets.label_maps import CLASSES, IGNORE_INDEX


def convert_urbansyn(root: Path, *, workers: int | None = None, overwrite: bool = False) -> Report:
    """Write `ss/ss_*.png` as `labels/rgb_*_labelTrainIds.png`; see `convert_pairs`.

    Args:
        root: Folder with `rgb/rgb_*.png` and `ss/ss_*.png`.
        workers: Processes; None means one per available core.
        overwrite: Reconvert finished files.
    """
    label_of = {path.stem.replace("ss_", "rgb_", 1): path
                for path in sorted((root / "ss").glob("ss_*.png"))}
    return convert_pairs(URBANSYN, root, label_of, _read, workers=workers, overwrite=overwrite)


def _read(path: Path) -> np.ndarray:
    """Read the ids of a label; reject unknown values."""
    ids = read_label_ids(path)
    known = bytes([*range(len(CLASSES)), UNLABELLED, IGNORE_INDEX])
    foreign = sorted(set(ids.tobytes().translate(None, known)))
    if foreign:
        raise ValueError(
            f"label values {', '.join(map(str, foreign[:8]))}, but UrbanSyn's are 0-19 and 255")
    return ids
