"""Convert GTA V labels to Cityscapes trainIds; see `rein.datasets.descriptions.gta`."""

from pathlib import Path

from rein.datasets.converters.image_label_pairs import convert_pairs, published_labels
from rein.datasets.converters.jobs import Report
from rein.datasets.converters.label_pngs import read_label_ids
from rein.datasets.descriptions import GTA


def convert_gta(root: Path, *, workers: int | None = None, overwrite: bool = False) -> Report:
    """Write `labels/*_labelTrainIds.png` beside GTA's `labels/*.png`; see `convert_pairs`.

    Args:
        root: Folder with `images/*.png` and `labels/*.png`.
        workers: Processes; None means one per available core.
        overwrite: Reconvert finished files.
    """
    return convert_pairs(GTA, root, published_labels(GTA, root), read_label_ids,
                         workers=workers, overwrite=overwrite)
