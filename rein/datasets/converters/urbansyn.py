"""UrbanSyn labels, which hold trainIds but for 19 (unlabelled) -> Cityscapes trainIds.

Source: All for One, and One for All: UrbanSyn Dataset (Gomez et al., 2023), https://urbansyn.org.
"""

from pathlib import Path

import numpy as np

from rein.datasets.converters.jobs import Report
from rein.datasets.converters.label_images import read_label_ids
from rein.datasets.converters.paired import SUFFIX, convert_paired
from rein.datasets.label_maps import (
    CLASSES,
    IGNORE_INDEX,
    URBANSYN_ID_TO_TRAIN_ID,
    URBANSYN_UNLABELLED,
)
from rein.errors import UserError

OUT = "labels"


def convert_urbansyn(root: Path, *, workers: int | None = None, overwrite: bool = False) -> Report:
    """Write UrbanSyn's `ss/ss_*.png` as `labels/rgb_*_labelTrainIds.png`, named after the images.

    A label whose size is not that of its image in `rgb/` fails and is not written; labels without
    an image are converted.

    Args:
        root: Folder with `rgb/rgb_*.png` and `ss/ss_*.png`.
        workers: Processes; None means one per available core.
        overwrite: Convert what is done, too.

    Returns:
        Counts and failures.

    Raises:
        UserError: There are no labels.
    """
    labels = sorted((root / "ss").glob("ss_*.png"))
    if not labels:
        raise UserError(
            f"{root}: no UrbanSyn labels found. Expected {root}/rgb/rgb_*.png and "
            f"{root}/ss/ss_*.png: download both folders from https://www.urbansyn.org."
        )
    images = {path.stem: path for path in (root / "rgb").glob("rgb_*.png")}
    names = [label.stem.replace("ss_", "rgb_", 1) for label in labels]
    pairs = [(label, images.get(name), root / OUT / f"{name}{SUFFIX}")
             for label, name in zip(labels, names, strict=True)]
    return convert_paired(pairs, root / OUT, URBANSYN_ID_TO_TRAIN_ID, _read,
                          workers=workers, overwrite=overwrite)


def _read(path: Path) -> np.ndarray:
    """Read a label's ids, after a look at their values."""
    ids = read_label_ids(path)
    known = bytes([*range(len(CLASSES)), URBANSYN_UNLABELLED, IGNORE_INDEX])
    foreign = sorted(set(ids.tobytes().translate(None, known)))
    if foreign:
        raise ValueError(
            f"label values {', '.join(map(str, foreign[:8]))}, but UrbanSyn's are 0-19 and 255")
    return ids
