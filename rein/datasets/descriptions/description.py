"""The facts about a dataset that converters, the checker, protocols and configs share."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from rein.datasets.label_maps import CLASSES, PALETTE


class Part(NamedTuple):
    """One part of a dataset: an image folder and usually a label folder.

    Attributes:
        name: Unique across all datasets, e.g. "val_bdd"; also the part's variable in the config.
        images: Image folder, relative to the dataset folder.
        labels: Folder of the trainId labels; "" if there are none.
        count: Published number of images.
        domain: Domain of the samples; "" for the dataset's domain.
        list_file: File that lists the images without suffixes; "" for all images in the folder.
        made_from: Folder of the images that a converter reads to write these; "" for published
            images.
    """

    name: str
    images: str
    labels: str = ""
    count: int | None = None
    domain: str = ""
    list_file: str = ""
    made_from: str = ""


class EvalSetting(NamedTuple):
    """How a protocol tests a dataset.

    Attributes:
        size: (width, height) in pixels; images are resized to fit it.
        part: The part to test on; "" to keep the config's.
    """

    size: tuple[int, int]
    part: str = ""


@dataclass(frozen=True)
class DatasetDescription:
    """The facts about one dataset.

    Attributes:
        name: The dataset's folder in `data/` and its file in `configs/_base_/datasets/`.
        domain: Domain name in configs and metrics.
        title: Name in reports.
        url: Where to get the dataset.
        image_suffix: Ending of an image file name.
        label_suffix: Ending of a label file name, in place of `image_suffix`.
        parts: The parts that configs load, the training part first.
        protocols: Protocol -> its setting for this dataset. Under other protocols the config's
            own setting applies.
        conditions: Domain of a single part or of corrupted images -> title.
        submission: Domain -> folder of the test images for the benchmark server.
        max_unlabelled: Maximum number of images without a label.
        label_map: Label id in the published files -> trainId, for converters. None if the files
            already hold trainIds.
        raw_layout: Published files that the converter reads; `{root}` stands for the dataset
            folder.
        download: Packages that contain these files.
        convert: Command that writes trainId labels, with `{root}`; "" if none is needed.
        classes: Class of each trainId; default: the 19 of Cityscapes.
        palette: RGB colour of each class.
    """

    name: str
    domain: str
    title: str
    url: str
    image_suffix: str
    label_suffix: str
    parts: tuple[Part, ...]
    protocols: Mapping[str, EvalSetting] = field(default_factory=dict)
    conditions: Mapping[str, str] = field(default_factory=dict)
    submission: Mapping[str, str] = field(default_factory=dict)
    max_unlabelled: int = 0
    label_map: Mapping[int, int] | None = None
    raw_layout: str = ""
    download: str = ""
    convert: str = ""
    classes: tuple[str, ...] = CLASSES
    palette: tuple[tuple[int, int, int], ...] = PALETTE

    @property
    def protocol_domains(self) -> list[str]:
        """Domains that the protocols apply to: the dataset's, then those of its parts."""
        return list(dict.fromkeys([self.domain, *(p.domain for p in self.parts if p.domain)]))

    def part(self, name: str) -> Part:
        """Return the part with this name."""
        return next(part for part in self.parts if part.name == name)
