"""Label ids of each dataset and the Cityscapes trainIds they become (the only copy).

Sources: Cityscapes label definitions (https://www.cityscapes-dataset.com), Playing for Data
(GTA V, Richter et al., ECCV 2016), SYNTHIA-RAND-CITYSCAPES (Ros et al., CVPR 2016), UrbanSyn
(Gomez et al., 2023), Mapillary Vistas v1.2 (Neuhold et al., ICCV 2017).
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

IGNORE_INDEX = 255
"""The label of pixels that count neither in training nor in evaluation."""


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
"""The 19 evaluated classes; position = trainId."""

PALETTE = tuple(label.color for label in _EVALUATED)
"""RGB colour of each trainId, uint8 range."""

CITYSCAPES_ID_TO_TRAIN_ID = {label.id: label.train_id for label in _EVALUATED}

GTA_ID_TO_TRAIN_ID = CITYSCAPES_ID_TO_TRAIN_ID
"""GTA label PNGs (palette mode) hold Cityscapes ids."""

SYNTHIA_ID_TO_TRAIN_ID = {
    3: 0, 4: 1, 2: 2, 21: 3, 5: 4, 7: 5, 15: 6, 9: 7, 6: 8, 16: 9, 1: 10, 10: 11, 17: 12, 8: 13,
    18: 14, 19: 15, 20: 16, 12: 17, 11: 18,
}
"""SYNTHIA label PNGs hold these ids in the first (red) of three 16-bit channels."""

URBANSYN_UNLABELLED = 19
URBANSYN_ID_TO_TRAIN_ID = {train_id: train_id for train_id in range(len(CLASSES))}
"""UrbanSyn label PNGs hold trainIds already, but for `URBANSYN_UNLABELLED`."""

MAPILLARY_LABELS = (
    ("Bird", 255), ("Ground Animal", 255), ("Curb", 1), ("Fence", 4), ("Guard Rail", 255),
    ("Barrier", 255), ("Wall", 3), ("Bike Lane", 0), ("Crosswalk - Plain", 0), ("Curb Cut", 1),
    ("Parking", 0), ("Pedestrian Area", 1), ("Rail Track", 255), ("Road", 0), ("Service Lane", 0),
    ("Sidewalk", 1), ("Bridge", 255), ("Building", 2), ("Tunnel", 255), ("Person", 11),
    ("Bicyclist", 12), ("Motorcyclist", 12), ("Other Rider", 12), ("Lane Marking - Crosswalk", 0),
    ("Lane Marking - General", 0), ("Mountain", 255), ("Sand", 255), ("Sky", 10), ("Snow", 255),
    ("Terrain", 9), ("Vegetation", 8), ("Water", 255), ("Banner", 255), ("Bench", 255),
    ("Bike Rack", 255), ("Billboard", 255), ("Catch Basin", 255), ("CCTV Camera", 255),
    ("Fire Hydrant", 255), ("Junction Box", 255), ("Mailbox", 255), ("Manhole", 255),
    ("Phone Booth", 255), ("Pothole", 255), ("Street Light", 5), ("Pole", 5),
    ("Traffic Sign Frame", 7), ("Utility Pole", 5), ("Traffic Light", 6),
    ("Traffic Sign (Back)", 7), ("Traffic Sign (Front)", 7), ("Trash Can", 255), ("Bicycle", 18),
    ("Boat", 255), ("Bus", 15), ("Car", 13), ("Caravan", 255), ("Motorcycle", 17),
    ("On Rails", 16), ("Other Vehicle", 255), ("Trailer", 255), ("Truck", 14),
    ("Wheeled Slow", 255), ("Car Mount", 255), ("Ego Vehicle", 255), ("Unlabeled", 255),
)
"""Mapillary Vistas v1.2: (readable name, trainId); position = label id in the PNG."""

MAPILLARY_ID_TO_TRAIN_ID = {i: train_id for i, (_, train_id) in enumerate(MAPILLARY_LABELS)}


def lookup_table(id_to_train_id: Mapping[int, int]) -> np.ndarray:
    """Turn a label map into an array that converts a whole image by indexing.

    Args:
        id_to_train_id: Source label id in [0, 255] -> trainId; what is not named is ignored.

    Returns:
        uint8 array (256,): `table[label_image]` holds trainIds, 255 where ignored.
    """
    table = np.full(256, IGNORE_INDEX, np.uint8)
    for source_id, train_id in id_to_train_id.items():
        table[source_id] = train_id
    return table
