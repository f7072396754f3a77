"""CamVid by day -> another day, dusk: the frames of docs/real_photographs.md at 480x360.

data/camvid_small holds images/SPLIT/*.jpg and labels/SPLIT/*.png; the splits are day_train, day_val
(held out from the source: choose settings and calibrate on it), and the targets other_day and dusk.
"""

_base_ = ["./loaders.py", "./train_pipelines.py"]
from rein.datasets.descriptions import dataset_config, eval_pipeline

root = "data/camvid_small/"
targets = ["other_day", "dusk"]


def _split(split, pipeline):
    return dict(
        type="UrbanSceneDataset",
        domain=split,
        data_root=root,
        data_prefix=dict(img_path=f"images/{split}", seg_map_path=f"labels/{split}"),
        img_suffix=".jpg",
        seg_map_suffix=".png",
        metainfo=dataset_config("val_camvid_0001TP")["metainfo"],  # the 11 classes
        pipeline=pipeline,
    )


train_dataloader = dict(
    batch_size=4, dataset=_split("day_train", _base_.train_pipeline_camvid))
val_dataloader = dict(
    **_base_.val_dataloader, dataset=_split("day_val", eval_pipeline(480, 360)))
calibration_dataloader = val_dataloader
test_dataloader = dict(
    **_base_.val_dataloader,
    dataset=dict(
        type="ConcatDataset",
        datasets=[_split(target, eval_pipeline(480, 360)) for target in targets]),
)
val_evaluator = dict(**_base_.val_evaluator, dataset_keys=["day_val"])
test_evaluator = dict(**_base_.val_evaluator, dataset_keys=targets)
