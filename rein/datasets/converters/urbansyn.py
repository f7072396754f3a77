"""UrbanSyn labels, which hold trainIds but for 19 (unlabelled) -> Cityscapes trainIds.

Source: All for One, and One for All: UrbanSyn Dataset (Gomez et al., 2023), https://urbansyn.org.
"""

from functools import partial
from pathlib import Path

import numpy as np

from rein.datasets.converters.engine import Job, Report, run_jobs
from rein.datasets.converters.label_images import map_labels, read_label_ids, require_size_of
from rein.datasets.label_maps import (
    CLASSES,
    IGNORE_INDEX,
    URBANSYN_ID_TO_TRAIN_ID,
    URBANSYN_UNLABELLED,
    lookup_table,
)
from rein.errors import UserError

OUT = "labels"
SUFFIX = "_labelTrainIds.png"


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
    jobs = []
    for label in labels:
        name = label.stem.replace("ss_", "rgb_", 1)
        image = (images[name],) if name in images else ()
        jobs.append(Job((label, *image), (root / OUT / f"{name}{SUFFIX}",), root / OUT))
    encode = partial(_encode, table=lookup_table(URBANSYN_ID_TO_TRAIN_ID))
    return run_jobs(jobs, encode, workers=workers, overwrite=overwrite)


def _encode(sources: tuple[Path, ...], table: np.ndarray) -> tuple[np.ndarray, ...]:
    """Convert a label, after a look at its values and its size."""
    ids = read_label_ids(sources[0])
    known = bytes([*range(len(CLASSES)), URBANSYN_UNLABELLED, IGNORE_INDEX])
    foreign = sorted(set(ids.tobytes().translate(None, known)))
    if foreign:
        raise ValueError(
            f"label values {', '.join(map(str, foreign[:8]))}, but UrbanSyn's are 0-19 and 255")
    for image in sources[1:]:
        require_size_of(image, ids)
    return (map_labels(ids, table),)
