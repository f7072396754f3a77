"""BDD100K (Yu et al., CVPR 2020): the 10K image set, 1280x720; the masks hold trainIds."""

from rein.datasets.descriptions.description import DatasetDescription, EvalSetting, Part

BDD100K = DatasetDescription(
    name="bdd100k",
    domain="bdd",
    title="BDD100K",
    url="http://bdd-data.berkeley.edu",
    image_suffix=".jpg",
    label_suffix=".png",
    parts=(
        Part("train_bdd", "images/10k/train", "labels/sem_seg/masks/train", count=7000),
        Part("val_bdd", "images/10k/val", "labels/sem_seg/masks/val", count=1000),
    ),
    protocols={
        "rein": EvalSetting((1280, 720)),
        "full": EvalSetting((1280, 720)),
    },
)
