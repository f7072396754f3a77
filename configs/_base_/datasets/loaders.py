"""Dataloaders and evaluator; the dataset comes from the config that inherits this file.

`num_workers="auto"`: one loading process per core, with one core left for training.
"""

train_dataloader = dict(
    num_workers="auto",
    persistent_workers=True,
    pin_memory=True,
    sampler=dict(type="InfiniteSampler", shuffle=True),
)
val_dataloader = dict(
    batch_size=1,
    num_workers="auto",
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=False),
)
val_evaluator = dict(type="DGIoUMetric", iou_metrics=["mIoU"])
