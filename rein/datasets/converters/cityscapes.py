"""Cityscapes polygon annotations -> label images of trainIds.

Source: https://www.cityscapes-dataset.com (annotation format and label definitions).
"""

import json
from functools import partial
from pathlib import Path

import numpy as np

from rein.datasets.converters.jobs import Job, Report, run_jobs
from rein.datasets.converters.label_images import map_labels
from rein.datasets.label_maps import CITYSCAPES_ID_TO_TRAIN_ID, lookup_table
from rein.datasets.polygons import rasterize
from rein.errors import UserError

SPLITS = {
    "gtFine": ("train", "val", "test"),
    "gtCoarse": ("train", "train_extra", "val"),
}


def convert_cityscapes(
    root: Path, *, coarse: bool = False, workers: int | None = None, overwrite: bool = False
) -> Report:
    """Write `*_labelTrainIds.png` beside Cityscapes' `*_polygons.json`.

    Args:
        root: Folder with `gtFine/{train,val,test}/<city>/*_gtFine_polygons.json`.
        coarse: Convert `gtCoarse` as well.
        workers: Processes; None means one per available core.
        overwrite: Convert what is done, too.

    Returns:
        Counts and failures.

    Raises:
        UserError: There are no annotations.
    """
    jobs = []
    for kind in ("gtFine", "gtCoarse") if coarse else ("gtFine",):
        annotations = _annotations(root, kind)
        if not annotations:
            package = "gt_trainvaltest.zip" if kind == "gtFine" else "gtCoarse.zip"
            raise UserError(
                f"{root}: no {kind} annotations found. Expected "
                f"{root}/{kind}/{{{','.join(SPLITS[kind])}}}/<city>/*_{kind}_polygons.json: "
                f"download {package} from https://www.cityscapes-dataset.com/downloads/ and "
                "extract it there."
            )
        for path in annotations:
            target = path.name.replace("_polygons.json", "_labelTrainIds.png")
            split = path.parents[1]
            jobs.append(Job((path,), (path.with_name(target),), split))
    encode = partial(_encode, table=lookup_table(CITYSCAPES_ID_TO_TRAIN_ID))
    return run_jobs(jobs, encode, workers=workers, overwrite=overwrite)


def _annotations(root: Path, kind: str) -> list[Path]:
    """The polygon files of all splits, by split, city and name."""
    return [path for split in SPLITS[kind]
            for path in sorted((root / kind / split).glob(f"*/*_{kind}_polygons.json"))]


def _encode(sources: tuple[Path, ...], table: np.ndarray) -> tuple[np.ndarray, ...]:
    """Draw one annotation."""
    annotation = json.loads(sources[0].read_bytes())
    try:
        ids = rasterize(annotation)
    except (KeyError, TypeError) as error:
        raise ValueError(f"no Cityscapes polygon annotation ({error!r})") from error
    return (map_labels(ids, table),)
