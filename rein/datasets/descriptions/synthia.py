"""SYNTHIA-RAND-CITYSCAPES (Ros et al., CVPR 2016): 9400 rendered frames, 1280x760.

Label PNGs have three 16-bit channels; the first holds the ids. 16 of the 19 classes occur; terrain,
truck and train are absent.
"""

from rein.datasets.descriptions.description import DatasetDescription, Part

SYNTHIA = DatasetDescription(
    name="synthia",
    domain="synthia",
    title="SYNTHIA",
    url="https://synthia-dataset.net/downloads/",
    download="SYNTHIA-RAND-CITYSCAPES (the contents of its folder RAND_CITYSCAPES)",
    raw_layout="{root}/RGB/*.png and {root}/GT/LABELS/*.png",
    convert="python tools/convert_datasets/synthia.py {root}",
    label_map={
        3: 0, 4: 1, 2: 2, 21: 3, 5: 4, 7: 5, 15: 6, 9: 7, 6: 8, 16: 9, 1: 10, 10: 11, 17: 12,
        8: 13, 18: 14, 19: 15, 20: 16, 12: 17, 11: 18,
    },
    image_suffix=".png",
    label_suffix="_labelTrainIds.png",
    parts=(Part("train_synthia", "RGB", "GT/LABELS", count=9400),),
)
