"""How samples are loaded and measured; the dataset itself comes from the file that uses this."""

train_dataloader = dict(
    num_workers=2,
    persistent_workers=True,
    pin_memory=True,
    sampler=dict(type="InfiniteSampler", shuffle=True),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=False),
)
val_evaluator = dict(type="DGIoUMetric", iou_metrics=["mIoU"])
