"""Own data: images/{train,val}/*.jpg and labels/{train,val}/*.png with the same names.

A label PNG has one channel or a palette; a pixel's value is the index of its class in `classes`,
or 255 if it is ignored. The leaf config names the folder and the classes.
"""

_base_ = ["./loaders.py", "./train_pipelines.py"]
from rein.datasets.descriptions import eval_pipeline

_own = dict(
    type="UrbanSceneDataset",
    domain="own",
    data_root="data/own/",
    img_suffix=".jpg",
    seg_map_suffix=".png",
)
train_dataloader = dict(
    batch_size=4,
    dataset=dict(
        **_own,
        data_prefix=dict(img_path="images/train", seg_map_path="labels/train"),
        pipeline=_base_.train_pipeline_512x512,
    ),
)
val_dataloader = dict(
    **_base_.val_dataloader,
    dataset=dict(
        **_own,
        data_prefix=dict(img_path="images/val", seg_map_path="labels/val"),
        pipeline=eval_pipeline(2048, 512),  # short side 512
    ),
)
test_dataloader = val_dataloader
test_evaluator = _base_.val_evaluator
