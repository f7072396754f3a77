"""GTA V labels -> Cityscapes trainIds.

Source: Playing for Data (Richter et al., ECCV 2016),
https://download.visinf.tu-darmstadt.de/data/from_games/.
"""

from functools import partial
from pathlib import Path

import numpy as np

from rein.datasets.converters.engine import Job, Report, run_jobs
from rein.datasets.converters.label_images import map_labels, read_label_ids, require_size_of
from rein.datasets.label_maps import GTA_ID_TO_TRAIN_ID, lookup_table
from rein.errors import UserError

SUFFIX = "_labelTrainIds.png"


def convert_gta(root: Path, *, workers: int | None = None, overwrite: bool = False) -> Report:
    """Write `labels/*_labelTrainIds.png` beside GTA's `labels/*.png`.

    Ids without a trainId become 255. A label whose size is not that of its image in `images/`
    fails and is not written; labels without an image are converted.

    Args:
        root: Folder with `images/*.png` and `labels/*.png`.
        workers: Processes; None means one per available core.
        overwrite: Convert what is done, too.

    Returns:
        Counts and failures.

    Raises:
        UserError: There are no labels.
    """
    labels = sorted(path for path in (root / "labels").glob("*.png")
                    if not path.name.endswith(SUFFIX))
    if not labels:
        raise UserError(
            f"{root}: no GTA labels found. Expected {root}/images/*.png and {root}/labels/*.png: "
            "download all image and label packages from "
            "https://download.visinf.tu-darmstadt.de/data/from_games/ and extract them there."
        )
    images = {path.name: path for path in (root / "images").glob("*.png")}
    jobs = []
    for label in labels:
        image = (images[label.name],) if label.name in images else ()
        jobs.append(Job((label, *image), (label.with_name(label.stem + SUFFIX),), label.parent))
    encode = partial(_encode, table=lookup_table(GTA_ID_TO_TRAIN_ID))
    return run_jobs(jobs, encode, workers=workers, overwrite=overwrite)


def _encode(sources: tuple[Path, ...], table: np.ndarray) -> tuple[np.ndarray, ...]:
    """Convert a label, after comparing its size with its image's, if there is one."""
    ids = read_label_ids(sources[0])
    for image in sources[1:]:
        require_size_of(image, ids)
    return (map_labels(ids, table),)
