"""The facts of one dataset, as converters, the checker, protocols and configs read them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


class Part(NamedTuple):
    """One part of a dataset: a folder of images, and usually one of labels.

    Attributes:
        name: Unique among all datasets; the part's variable in the config, as "val_bdd".
        images: Folder of the images, below the dataset's.
        labels: Folder of the labels, which hold trainIds; "" without labels.
        count: Number of images as published.
        domain: Domain of its samples; "" for the dataset's.
        list_file: File that lists the images, without suffixes; "" for all in the folder.
        made_from: Folder whose images a converter turns into these; "" for images as published.
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
        size: (width, height) in pixels that images are resized to fit into.
        part: The part to test on; "" for the config's.
    """

    size: tuple[int, int]
    part: str = ""


@dataclass(frozen=True)
class DatasetDescription:
    """The facts of one dataset.

    Attributes:
        name: Its folder in data/ and its file in configs/_base_/datasets/.
        domain: Name of its domain in configs and metrics.
        title: Its name in reports.
        url: Where to get it.
        image_suffix: End of an image's file name.
        label_suffix: End of a label's file name, in place of `image_suffix`.
        parts: What configs load, the part for training first.
        protocols: Protocol -> how it tests this dataset. Other protocols leave it to the config.
        conditions: Domains of single parts or of corrupted images -> titles.
        submission: Domain -> folder of the test images whose predictions the benchmark's server
            takes.
        max_unlabelled: Number of images that may lack a label.
        label_map: Label id in the published files -> trainId, for converters. None if the files
            hold trainIds.
        raw_layout: The published files that the converter reads; `{root}` stands for the
            dataset's folder.
        download: The packages with these files.
        convert: Command that makes labels of trainIds, with `{root}`; "" if none is needed.
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

    @property
    def protocol_domains(self) -> list[str]:
        """The domains that its protocols apply to: its own, then those of its parts."""
        return list(dict.fromkeys([self.domain, *(p.domain for p in self.parts if p.domain)]))

    def part(self, name: str) -> Part:
        """Return a part by its name."""
        return next(part for part in self.parts if part.name == name)
