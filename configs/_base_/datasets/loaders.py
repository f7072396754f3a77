"""How samples are loaded and measured; the dataset itself comes from the file that uses this.

`num_workers="auto"`: a loading process for each core, but one for the training itself.
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
