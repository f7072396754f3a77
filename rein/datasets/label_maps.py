"""Cityscapes labels (ids, trainIds and colours, the only copy) and lookup tables to trainIds.

Source: Cityscapes label definitions (https://www.cityscapes-dataset.com). For the label ids of
other datasets, see their descriptions in `rein.datasets.descriptions`.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

IGNORE_INDEX = 255
"""Label of pixels excluded from training and evaluation."""


class CityscapesLabel(NamedTuple):
    """One Cityscapes class: its name, label id, trainId and RGB colour."""

    name: str
    id: int
    train_id: int
    color: tuple[int, int, int]


CITYSCAPES_LABELS = tuple(CityscapesLabel(*row) for row in (
    ("unlabeled", 0, 255, (0, 0, 0)),
    ("ego vehicle", 1, 255, (0, 0, 0)),
    ("rectification border", 2, 255, (0, 0, 0)),
    ("out of roi", 3, 255, (0, 0, 0)),
    ("static", 4, 255, (0, 0, 0)),
    ("dynamic", 5, 255, (111, 74, 0)),
    ("ground", 6, 255, (81, 0, 81)),
    ("road", 7, 0, (128, 64, 128)),
    ("sidewalk", 8, 1, (244, 35, 232)),
    ("parking", 9, 255, (250, 170, 160)),
    ("rail track", 10, 255, (230, 150, 140)),
    ("building", 11, 2, (70, 70, 70)),
    ("wall", 12, 3, (102, 102, 156)),
    ("fence", 13, 4, (190, 153, 153)),
    ("guard rail", 14, 255, (180, 165, 180)),
    ("bridge", 15, 255, (150, 100, 100)),
    ("tunnel", 16, 255, (150, 120, 90)),
    ("pole", 17, 5, (153, 153, 153)),
    ("polegroup", 18, 255, (153, 153, 153)),
    ("traffic light", 19, 6, (250, 170, 30)),
    ("traffic sign", 20, 7, (220, 220, 0)),
    ("vegetation", 21, 8, (107, 142, 35)),
    ("terrain", 22, 9, (152, 251, 152)),
    ("sky", 23, 10, (70, 130, 180)),
    ("person", 24, 11, (220, 20, 60)),
    ("rider", 25, 12, (255, 0, 0)),
    ("car", 26, 13, (0, 0, 142)),
    ("truck", 27, 14, (0, 0, 70)),
    ("bus", 28, 15, (0, 60, 100)),
    ("caravan", 29, 255, (0, 0, 90)),
    ("trailer", 30, 255, (0, 0, 110)),
    ("train", 31, 16, (0, 80, 100)),
    ("motorcycle", 32, 17, (0, 0, 230)),
    ("bicycle", 33, 18, (119, 11, 32)),
    ("license plate", -1, 255, (0, 0, 142)),
))

_EVALUATED = tuple(label for label in CITYSCAPES_LABELS if label.train_id != IGNORE_INDEX)

CLASSES = tuple(label.name for label in _EVALUATED)
"""The 19 evaluated classes, indexed by trainId."""

PALETTE = tuple(label.color for label in _EVALUATED)
"""RGB colour of each trainId, uint8 range."""

CITYSCAPES_ID_TO_TRAIN_ID = {label.id: label.train_id for label in _EVALUATED}
"""Label id -> trainId of the evaluated classes."""


def lookup_table(id_to_train_id: Mapping[int, int]) -> np.ndarray:
    """Build an array that maps a whole label image by indexing.

    Args:
        id_to_train_id: Source label id in [0, 255] -> trainId; missing ids are ignored.

    Returns:
        A uint8 array (256,) whose `table[label_image]` gives trainIds, 255 where ignored.
    """
    table = np.full(256, IGNORE_INDEX, np.uint8)
    for source_id, train_id in id_to_train_id.items():
        table[source_id] = train_id
    return table
