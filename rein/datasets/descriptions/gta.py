"""GTA V (Playing for Data, Richter et al., ECCV 2016): 24966 game frames, 1914x1052.

Label PNGs have a palette and hold Cityscapes ids. Up to ten labels differ in size from their
images; the converter skips them.
"""

from rein.datasets.descriptions.description import DatasetDescription, Part
from rein.datasets.label_maps import CITYSCAPES_ID_TO_TRAIN_ID

GTA = DatasetDescription(
    name="gta",
    domain="gta",
    title="GTA V",
    url="https://download.visinf.tu-darmstadt.de/data/from_games/",
    download="all image and label packages",
    raw_layout="{root}/images/*.png and {root}/labels/*.png",
    convert="python tools/convert_datasets/gta.py {root}",
    label_map=CITYSCAPES_ID_TO_TRAIN_ID,
    image_suffix=".png",
    label_suffix="_labelTrainIds.png",
    max_unlabelled=10,
    parts=(Part("train_gta", "images", "labels", count=24966),),
)
