"""Convert each label image to one trainId label, checking its size against its image."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from rein.datasets.converters.jobs import Job, Report, run_jobs
from rein.datasets.converters.label_pngs import map_labels
from rein.datasets.descriptions import DatasetDescription
from rein.datasets.label_maps import lookup_table
from rein.errors import UserError


def convert_pairs(
    dataset: DatasetDescription, root: Path, label_of: Mapping[str, Path],
    read: Callable[[Path], np.ndarray], *, workers: int | None = None, overwrite: bool = False,
) -> Report:
    """Write trainId labels to the label folder of the dataset's first part.

    A label whose size differs from its image fails, and its old conversion is removed; labels
    without an image are converted.

    Args:
        dataset: Provides the `label_map`; ids outside it become 255.
        root: Dataset folder.
        label_of: Image name without suffix -> published label file.
        read: Reads the ids of a label, uint8 (H, W); must be picklable.
        workers: Processes; None means one per available core.
        overwrite: Reconvert finished files.

    Returns:
        Counts and failures.

    Raises:
        UserError: No labels were found.
    """
    if not label_of:
        raise no_labels(dataset, root)
    part = dataset.parts[0]
    images = {path.name: path for path in (root / part.images).glob(f"*{dataset.image_suffix}")}
    jobs = []
    for name, label in label_of.items():
        image = images.get(name + dataset.image_suffix)
        target = root / part.labels / (name + dataset.label_suffix)
        jobs.append(Job((label,), (target,), root / part.labels, image))
    encode = partial(_encode, read=read, table=lookup_table(dataset.label_map))
    return run_jobs(
        jobs, encode, classes=dataset.classes, workers=workers, overwrite=overwrite)


def published_labels(dataset: DatasetDescription, root: Path) -> dict[str, Path]:
    """Find published label PNGs, named like their images, in the folder of the converted ones.

    Returns:
        Name without suffix -> file, sorted by name.
    """
    folder = root / dataset.parts[0].labels
    return {path.stem: path for path in sorted(folder.glob("*.png"))
            if not path.name.endswith(dataset.label_suffix)}


def no_labels(dataset: DatasetDescription, root: Path, found: str = "") -> UserError:
    """Return the error for a folder without the dataset's labels.

    Args:
        dataset: The dataset.
        root: The folder.
        found: The problem; default: "no ... labels found".
    """
    return UserError(
        f"{root}: {found or f'no {dataset.title} labels found'}. Expected "
        f"{dataset.raw_layout.format(root=root)}: download {dataset.download} from {dataset.url} "
        "and extract it there.")


def _encode(
    sources: tuple[Path, ...], read: Callable[[Path], np.ndarray], table: np.ndarray,
) -> tuple[np.ndarray, ...]:
    """Convert a label."""
    return (map_labels(read(sources[0]), table),)
