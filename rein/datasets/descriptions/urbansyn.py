"""UrbanSyn (Gomez et al., All for One, and One for All, 2023): 7539 rendered frames, 2048x1024.

Label PNGs `ss/ss_*.png` hold trainIds, with 19 for unlabelled pixels; images are
`rgb/rgb_*.png`.
"""

from rein.datasets.descriptions.description import DatasetDescription, Part
from rein.datasets.label_maps import CLASSES

UNLABELLED = 19

URBANSYN = DatasetDescription(
    name="urbansyn",
    domain="urbansyn",
    title="UrbanSyn",
    url="https://www.urbansyn.org",
    download="the folders rgb and ss",
    raw_layout="{root}/rgb/rgb_*.png and {root}/ss/ss_*.png",
    convert="python tools/convert_datasets/urbansyn.py {root}",
    label_map={train_id: train_id for train_id in range(len(CLASSES))},
    image_suffix=".png",
    label_suffix="_labelTrainIds.png",
    parts=(Part("train_urbansyn", "rgb", "labels", count=7539),),
)
