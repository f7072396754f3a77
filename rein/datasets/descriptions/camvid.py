"""CamVid (Brostow, Fauqueur and Cipolla, Pattern Recognition Letters 2009): streets of Cambridge.

701 labelled stills, 960x720, from four drives: three by day, one at dusk. Each drive is a domain;
which are sources and which targets is up to the config. Label PNGs have the image's name with `_L`
and show 32 labels by colour. The usual 11 classes are those of SegNet (Badrinarayanan et al.,
arXiv:1511.00561), which trains on part of the dusk drive: its split is no split by domain.
"""

from rein.datasets.descriptions.description import DatasetDescription, Part
from rein.datasets.label_maps import IGNORE_INDEX

COLORS = {
    "Animal": (64, 128, 64), "Archway": (192, 0, 128), "Bicyclist": (0, 128, 192),
    "Bridge": (0, 128, 64), "Building": (128, 0, 0), "Car": (64, 0, 128),
    "CartLuggagePram": (64, 0, 192), "Child": (192, 128, 64), "Column_Pole": (192, 192, 128),
    "Fence": (64, 64, 128), "LaneMkgsDriv": (128, 0, 192), "LaneMkgsNonDriv": (192, 0, 64),
    "Misc_Text": (128, 128, 64), "MotorcycleScooter": (192, 0, 192),
    "OtherMoving": (128, 64, 64), "ParkingBlock": (64, 192, 128), "Pedestrian": (64, 64, 0),
    "Road": (128, 64, 128), "RoadShoulder": (128, 128, 192), "Sidewalk": (0, 0, 192),
    "SignSymbol": (192, 128, 128), "Sky": (128, 128, 128), "SUVPickupTruck": (64, 128, 192),
    "TrafficCone": (0, 0, 64), "TrafficLight": (0, 64, 64), "Train": (192, 64, 128),
    "Tree": (128, 128, 0), "Truck_Bus": (192, 128, 192), "Tunnel": (64, 0, 64),
    "VegetationMisc": (192, 192, 0), "Void": (0, 0, 0), "Wall": (64, 192, 0),
}
"""Label -> RGB colour in the label files, in the order of the published `label_colors.txt`."""

GROUPS = {
    "sky": ("Sky",),
    "building": ("Building", "Archway", "Bridge", "Tunnel", "Wall"),
    "pole": ("Column_Pole", "TrafficCone"),
    "road": ("Road", "LaneMkgsDriv", "LaneMkgsNonDriv"),
    "pavement": ("Sidewalk", "ParkingBlock", "RoadShoulder"),
    "tree": ("Tree", "VegetationMisc"),
    "sign": ("SignSymbol", "Misc_Text", "TrafficLight"),
    "fence": ("Fence",),
    "car": ("Car", "OtherMoving", "SUVPickupTruck", "Train", "Truck_Bus"),
    "pedestrian": ("Pedestrian", "Animal", "CartLuggagePram", "Child"),
    "bicyclist": ("Bicyclist", "MotorcycleScooter"),
}
"""Class -> its labels, as grouped for SegNet; the first gives the colour. Void is ignored."""

_TRAIN_IDS = {label: i for i, labels in enumerate(GROUPS.values()) for label in labels}
SEQUENCES = {"0001TP": "dusk", "0006R0": "day", "0016E5": "day", "Seq05VD": "other day"}
"""Drive, the start of its file names -> when it was recorded."""


def _drive(split: str, sequence: str, count: int) -> Part:
    return Part(
        f"{split}_camvid_{sequence}", "701_StillsRaw_full", "labels", count,
        domain=f"camvid_{sequence}", list_file=f"{sequence}.txt")


CAMVID = DatasetDescription(
    name="camvid",
    domain="camvid",
    title="CamVid",
    url="http://mi.eng.cam.ac.uk/research/projects/VideoRec/CamVid/",
    download="701_StillsRaw_full.zip and LabeledApproved_full.zip",
    raw_layout="{root}/701_StillsRaw_full/*.png and {root}/LabeledApproved_full/*_L.png",
    convert="python tools/convert_datasets/camvid.py {root}",
    label_map={i: _TRAIN_IDS.get(label, IGNORE_INDEX) for i, label in enumerate(COLORS)},
    classes=tuple(GROUPS),
    palette=tuple(COLORS[labels[0]] for labels in GROUPS.values()),
    image_suffix=".png",
    label_suffix=".png",
    parts=(
        _drive("train", "0006R0", 101), _drive("train", "0016E5", 305),
        _drive("val", "0001TP", 124), _drive("val", "Seq05VD", 171),
    ),
    conditions={f"camvid_{name}": f"CamVid {name} ({time})" for name, time in SEQUENCES.items()},
)
