"""Mapillary Vistas v1.2 (Neuhold et al., ICCV 2017): images of many sizes from all continents.

Label PNGs have a palette; an id is a position in the label list of the dataset's config. The
`rein` protocol tests on images and labels that were halved on disk.
"""

from rein.datasets.descriptions.description import DatasetDescription, EvalSetting, Part

LABELS = (
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
"""(readable name, trainId) of each label, indexed by the label id in the PNG."""

MAPILLARY = DatasetDescription(
    name="mapillary",
    domain="map",
    title="Mapillary",
    url="https://www.mapillary.com/dataset/vistas",
    download="Mapillary Vistas",
    raw_layout=(
        "{root}/config.json and {root}/{{training,validation}}/labels/*.png (v1.2), or "
        "{root}/config_v1.2.json and {root}/{{training,validation}}/v1.2/labels/*.png (v2.0)"),
    convert=(
        "python tools/convert_datasets/mapillary2cityscape.py {root} "
        "{root}/cityscapes_trainIdLabel --train_id && "
        "python tools/convert_datasets/mapillary_resize.py {root}/validation/images "
        "{root}/cityscapes_trainIdLabel/val/label {root}/half/val_img {root}/half/val_label"),
    label_map={i: train_id for i, (_, train_id) in enumerate(LABELS)},
    image_suffix=".jpg",
    label_suffix=".png",
    parts=(
        Part("train_mapillary", "training/images", "cityscapes_trainIdLabel/train/label",
             count=18000),
        Part("val_mapillary", "half/val_img", "half/val_label", count=2000,
             made_from="validation/images"),
        Part("val_mapillary_full", "validation/images", "cityscapes_trainIdLabel/val/label",
             count=2000),
    ),
    protocols={
        "rein": EvalSetting((1024, 512), part="val_mapillary"),
        "full": EvalSetting((2048, 1024), part="val_mapillary_full"),
    },
)
