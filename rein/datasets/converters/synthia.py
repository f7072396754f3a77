"""SYNTHIA-RAND-CITYSCAPES labels -> Cityscapes trainIds.

Source: The SYNTHIA Dataset (Ros et al., CVPR 2016), https://synthia-dataset.net. 16 of the 19
classes occur: there is no terrain, truck or train.
"""

from pathlib import Path

from rein.datasets.converters.jobs import Report
from rein.datasets.converters.label_images import read_first_channel_of_16_bit
from rein.datasets.converters.paired import SUFFIX, convert_paired
from rein.datasets.label_maps import SYNTHIA_ID_TO_TRAIN_ID
from rein.errors import UserError


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
    pairs = [(label, images.get(label.name), label.with_name(label.stem + SUFFIX))
             for label in labels]
    return convert_paired(pairs, folder, SYNTHIA_ID_TO_TRAIN_ID, read_first_channel_of_16_bit,
                          workers=workers, overwrite=overwrite)
