"""Convert SYNTHIA-RAND-CITYSCAPES labels to trainIds; see `rein.datasets.descriptions`."""

from pathlib import Path

from rein.datasets.converters.image_label_pairs import convert_pairs, published_labels
from rein.datasets.converters.jobs import Report
from rein.datasets.converters.label_pngs import read_first_channel_of_16_bit
from rein.datasets.descriptions import SYNTHIA


def convert_synthia(root: Path, *, workers: int | None = None, overwrite: bool = False) -> Report:
    """Write `GT/LABELS/*_labelTrainIds.png` beside SYNTHIA's `*.png`; see `convert_pairs`.

    Args:
        root: Folder with `RGB/*.png` and `GT/LABELS/*.png`, i.e. the extracted RAND_CITYSCAPES.
        workers: Processes; None means one per available core.
        overwrite: Reconvert finished files.
    """
    return convert_pairs(SYNTHIA, root, published_labels(SYNTHIA, root),
                         read_first_channel_of_16_bit, workers=workers, overwrite=overwrite)
