"""The domains by name: what people call them, where they come from, how they are converted."""

import os
from typing import NamedTuple

from rein.errors import UserError

CORRUPTIONS = (
    "gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise",
    "motion_blur", "defocus_blur", "glass_blur", "gaussian_blur",
    "brightness", "contrast", "saturate", "jpeg_compression",
    "snow", "spatter", "fog", "frost",
)
SEVERITIES = (1, 2, 3, 4, 5)


class Domain(NamedTuple):
    """What people call a domain, and how its folder is filled."""

    title: str
    url: str = ""
    convert: str = ""


_CITYSCAPES_URL = "https://www.cityscapes-dataset.com/downloads/"
_CONVERT_CITYSCAPES = "python tools/convert_datasets/cityscapes.py {root}"
_ACDC_URL = "https://acdc.vision.ee.ethz.ch"

DOMAINS = {
    "gta": Domain(
        "GTA V", "https://download.visinf.tu-darmstadt.de/data/from_games/",
        "python tools/convert_datasets/gta.py {root}"),
    "synthia": Domain(
        "SYNTHIA", "https://synthia-dataset.net/downloads/",
        "python tools/convert_datasets/synthia.py {root}"),
    "urbansyn": Domain(
        "UrbanSyn", "https://www.urbansyn.org",
        "python tools/convert_datasets/urbansyn.py {root}"),
    "citys": Domain("Cityscapes", _CITYSCAPES_URL, _CONVERT_CITYSCAPES),
    "bdd": Domain("BDD100K", "http://bdd-data.berkeley.edu"),
    "map": Domain(
        "Mapillary", "https://www.mapillary.com/dataset/vistas",
        "python tools/convert_datasets/mapillary2cityscape.py {root} "
        "{root}/cityscapes_trainIdLabel --train_id && "
        "python tools/convert_datasets/mapillary_resize.py {root}/validation/images "
        "{root}/cityscapes_trainIdLabel/val/label {root}/half/val_img {root}/half/val_label"),
    "acdc": Domain("ACDC", _ACDC_URL),
    "acdc_night": Domain("ACDC night", _ACDC_URL),
    "acdc_fog": Domain("ACDC fog", _ACDC_URL),
    "acdc_rain": Domain("ACDC rain", _ACDC_URL),
    "acdc_snow": Domain("ACDC snow", _ACDC_URL),
    **{
        f"citys_{corruption}_{severity}": Domain(
            f"{corruption.replace('_', ' ')} {severity}", _CITYSCAPES_URL, _CONVERT_CITYSCAPES)
        for corruption in CORRUPTIONS for severity in SEVERITIES
    },
}
"""Domain name in configs and metrics -> what people call it; BDD100K and ACDC need no converter."""

_FOLDER_TO_DOMAIN = {"cityscapes": "citys", "bdd100k": "bdd", "mapillary": "map"}


def domain_title(domain: str) -> str:
    """Tell what people call a domain, e.g. "Cityscapes" for "citys"."""
    return DOMAINS[domain].title if domain in DOMAINS else domain


def domain_of_root(data_root: str | None) -> str:
    """Name the domain of a dataset that declares none, by the last part of its data_root.

    Parent folders never count: "/data/acdc/cityscapes/" is Cityscapes.

    Returns:
        "citys", "bdd" or "map" for the published folder names, else the folder's own name;
        "unnamed" without a data_root.
    """
    if not data_root:
        return "unnamed"
    folder = os.path.basename(os.path.abspath(data_root))
    return _FOLDER_TO_DOMAIN.get(folder, folder)


class Origin:
    """Where a dataset's files come from, for its error messages."""

    def __init__(self, domain: str, data_root: str | None):
        self.domain = domain
        self.root = os.path.normpath(data_root or ".")

    def how_to_convert(self) -> str:
        """Say in one sentence how labels of this domain become trainIds."""
        known = DOMAINS.get(self.domain, Domain(""))
        if known.convert:
            return f"Run `{known.convert.format(root=self.root)}`."
        if known.url:
            return f"Get the labels of {known.title} (trainIds already) again from {known.url}."
        return (
            "A label value is a position in the classes of the dataset's metainfo, or stands for "
            "one by its place in `label_values`.")

    def how_to_get(self) -> str:
        """Say in one sentence how the dataset's folder is filled."""
        known = DOMAINS.get(self.domain, Domain(""))
        if not known.url:
            return "Correct `data_root` and `data_prefix` in the config."
        get = f"Get {known.title} from {known.url} and extract it to {self.root}"
        return f"{get}, then: {self.how_to_convert()}" if known.convert else f"{get}."


def require_folder(path: str, origin: Origin) -> None:
    """Raise a `UserError` that says how to get a folder that is not there."""
    if not os.path.isdir(path):
        raise UserError(f"{os.path.abspath(path)}: no such folder. {origin.how_to_get()}")
