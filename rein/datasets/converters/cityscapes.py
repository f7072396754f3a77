"""Convert Cityscapes polygon annotations to trainId label images.

Source: https://www.cityscapes-dataset.com (annotation format). See
`rein.datasets.descriptions.cityscapes`.
"""

import dataclasses
import json
from functools import partial
from pathlib import Path

import numpy as np

from rein.datasets.cityscapes_polygons import rasterize
from rein.datasets.converters.image_label_pairs import no_labels
from rein.datasets.converters.jobs import Job, Report, run_jobs
from rein.datasets.converters.label_pngs import map_labels
from rein.datasets.descriptions import CITYSCAPES
from rein.datasets.label_maps import lookup_table

SPLITS = {
    "gtFine": ("train", "val", "test"),
    "gtCoarse": ("train", "train_extra", "val"),
}
_COARSE = dataclasses.replace(
    CITYSCAPES, download="gtCoarse.zip",
    raw_layout="{root}/gtCoarse/{{train,train_extra,val}}/<city>/*_gtCoarse_polygons.json")


def convert_cityscapes(
    root: Path, *, coarse: bool = False, workers: int | None = None, overwrite: bool = False
) -> Report:
    """Write `*_labelTrainIds.png` beside Cityscapes' `*_polygons.json`.

    Args:
        root: Folder with `gtFine/{train,val,test}/<city>/*_gtFine_polygons.json`.
        coarse: Convert `gtCoarse` as well.
        workers: Processes; None means one per available core.
        overwrite: Reconvert finished files.

    Returns:
        Counts and failures.

    Raises:
        UserError: No annotations were found.
    """
    jobs = []
    for kind in ("gtFine", "gtCoarse") if coarse else ("gtFine",):
        annotations = _annotations(root, kind)
        if not annotations:
            raise no_labels(
                CITYSCAPES if kind == "gtFine" else _COARSE, root, f"no {kind} annotations found")
        for path in annotations:
            target = path.name.replace("_polygons.json", "_labelTrainIds.png")
            split = path.parents[1]
            jobs.append(Job((path,), (path.with_name(target),), split))
    encode = partial(_encode, table=lookup_table(CITYSCAPES.label_map))
    return run_jobs(jobs, encode, workers=workers, overwrite=overwrite)


def _annotations(root: Path, kind: str) -> list[Path]:
    """List the polygon files of all splits, sorted by split, city and name."""
    return [path for split in SPLITS[kind]
            for path in sorted((root / kind / split).glob(f"*/*_{kind}_polygons.json"))]


def _encode(sources: tuple[Path, ...], table: np.ndarray) -> tuple[np.ndarray, ...]:
    """Draw one annotation."""
    annotation = json.loads(sources[0].read_bytes())
    try:
        ids = rasterize(annotation)
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a Cityscapes polygon annotation ({error!r:.200})") from error
    return (map_labels(ids, table),)
