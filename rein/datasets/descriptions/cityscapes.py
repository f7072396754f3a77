"""Cityscapes (Cordts et al., CVPR 2016): 50 cities, 2048x1024, polygon annotations.

Cityscapes-C (Kamann and Rother, CVPR 2020) is its validation set under 16 corruptions at 5
severities; each combination is a domain.
"""

from rein.datasets.descriptions.description import DatasetDescription, EvalSetting, Part
from rein.datasets.label_maps import CITYSCAPES_ID_TO_TRAIN_ID

CORRUPTIONS = (
    "gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise",
    "motion_blur", "defocus_blur", "glass_blur", "gaussian_blur",
    "brightness", "contrast", "saturate", "jpeg_compression",
    "snow", "spatter", "fog", "frost",
)
SEVERITIES = (1, 2, 3, 4, 5)

CITYSCAPES = DatasetDescription(
    name="cityscapes",
    domain="citys",
    title="Cityscapes",
    url="https://www.cityscapes-dataset.com/downloads/",
    download="gtFine_trainvaltest.zip",
    raw_layout="{root}/gtFine/{{train,val,test}}/<city>/*_gtFine_polygons.json",
    convert="python tools/convert_datasets/cityscapes.py {root}",
    label_map=CITYSCAPES_ID_TO_TRAIN_ID,
    image_suffix="_leftImg8bit.png",
    label_suffix="_gtFine_labelTrainIds.png",
    parts=(
        Part("train_cityscapes", "leftImg8bit/train", "gtFine/train", count=2975),
        # split published by UniMatch (https://github.com/LiheYoung/UniMatch); the list ships with
        # Rein (rein/datasets/lists), but a file of the same name in data/cityscapes wins
        Part("train_cityscapes_1of16", "leftImg8bit/train", "gtFine/train", count=186,
             list_file="cityscapes_1of16.txt"),
        Part("val_cityscapes", "leftImg8bit/val", "gtFine/val", count=500),
    ),
    protocols={
        "rein": EvalSetting((1024, 512)),
        "full": EvalSetting((2048, 1024)),
    },
    conditions={
        f"citys_{corruption}_{severity}": f"{corruption.replace('_', ' ')} {severity}"
        for corruption in CORRUPTIONS for severity in SEVERITIES
    },
    submission={"citys": "leftImg8bit/test"},
)
