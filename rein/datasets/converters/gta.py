"""GTA V labels -> Cityscapes trainIds.

Source: Playing for Data (Richter et al., ECCV 2016),
https://download.visinf.tu-darmstadt.de/data/from_games/.
"""

from pathlib import Path

from rein.datasets.converters.jobs import Report
from rein.datasets.converters.label_images import read_label_ids
from rein.datasets.converters.paired import SUFFIX, convert_paired
from rein.datasets.label_maps import GTA_ID_TO_TRAIN_ID
from rein.errors import UserError


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
    pairs = [(label, images.get(label.name), label.with_name(label.stem + SUFFIX))
             for label in labels]
    return convert_paired(pairs, root / "labels", GTA_ID_TO_TRAIN_ID, read_label_ids,
                          workers=workers, overwrite=overwrite)
