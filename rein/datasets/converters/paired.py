"""Label images that become one label of trainIds each, checked against their image."""

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import numpy as np

from rein.datasets.converters.jobs import Job, Report, run_jobs
from rein.datasets.converters.label_images import map_labels, require_size_of
from rein.datasets.label_maps import lookup_table

SUFFIX = "_labelTrainIds.png"


def convert_paired(
    pairs: Iterable[tuple[Path, Path | None, Path]], labels_in: Path,
    id_to_train_id: dict[int, int], read: Callable[[Path], np.ndarray], **kwargs,
) -> Report:
    """Convert label images whose size has to be that of their image.

    Args:
        pairs: Of each label its file, its image's or None, and the file to write.
        labels_in: Folder whose class statistics are written.
        id_to_train_id: What each id becomes; others become 255.
        read: Reads a label's ids, uint8 (H, W); picklable.
        **kwargs: As for `run_jobs`.

    Returns:
        Counts and failures.
    """
    jobs = [Job((label, *([image] if image else [])), (target,), labels_in)
            for label, image, target in pairs]
    encode = partial(_encode, read=read, table=lookup_table(id_to_train_id))
    return run_jobs(jobs, encode, **kwargs)


def _encode(
    sources: tuple[Path, ...], read: Callable[[Path], np.ndarray], table: np.ndarray,
) -> tuple[np.ndarray, ...]:
    """Convert a label, after comparing its size with its image's, if there is one."""
    ids = read(sources[0])
    for image in sources[1:]:
        require_size_of(image, ids)
    return (map_labels(ids, table),)
