"""SYNTHIA-RAND-CITYSCAPES labels -> Cityscapes trainIds.

Source: The SYNTHIA Dataset (Ros et al., CVPR 2016), https://synthia-dataset.net. 16 of the 19
classes occur: there is no terrain, truck or train.
"""

from functools import partial
from pathlib import Path

import numpy as np

from rein.datasets.converters.engine import Job, Report, run_jobs
from rein.datasets.converters.label_images import (
    map_labels,
    read_first_channel_of_16_bit,
    require_size_of,
)
from rein.datasets.label_maps import SYNTHIA_ID_TO_TRAIN_ID, lookup_table
from rein.errors import UserError

SUFFIX = "_labelTrainIds.png"


def convert_synthia(root: Path, *, workers: int | None = None, overwrite: bool = False) -> Report:
    """Write `GT/LABELS/*_labelTrainIds.png` beside SYNTHIA's `GT/LABELS/*.png`.

    Ids without a trainId become 255. A label whose size is not that of its image in `RGB/` fails
    and is not written; labels without an image are converted.

    Args:
        root: Folder with `RGB/*.png` and `GT/LABELS/*.png`, i.e. the extracted RAND_CITYSCAPES.
        workers: Processes; None means one per available core.
        overwrite: Convert what is done, too.

    Returns:
        Counts and failures.

    Raises:
        UserError: There are no labels.
    """
    folder = root / "GT" / "LABELS"
    labels = sorted(path for path in folder.glob("*.png") if not path.name.endswith(SUFFIX))
    if not labels:
        raise UserError(
            f"{root}: no SYNTHIA labels found. Expected {root}/RGB/*.png and "
            f"{root}/GT/LABELS/*.png: download SYNTHIA-RAND-CITYSCAPES from "
            "https://synthia-dataset.net/downloads/ and put what its folder RAND_CITYSCAPES holds "
            "there."
        )
    images = {path.name: path for path in (root / "RGB").glob("*.png")}
    jobs = []
    for label in labels:
        image = (images[label.name],) if label.name in images else ()
        jobs.append(Job((label, *image), (label.with_name(label.stem + SUFFIX),), folder))
    encode = partial(_encode, table=lookup_table(SYNTHIA_ID_TO_TRAIN_ID))
    return run_jobs(jobs, encode, workers=workers, overwrite=overwrite)


def _encode(sources: tuple[Path, ...], table: np.ndarray) -> tuple[np.ndarray, ...]:
    """Convert a label, after comparing its size with its image's, if there is one."""
    ids = read_first_channel_of_16_bit(sources[0])
    for image in sources[1:]:
        require_size_of(image, ids)
    return (map_labels(ids, table),)
