"""Cityscapes -> Cityscapes-C; crop 512, batch 4, validated on uncorrupted images, at half size."""

_base_ = ["./loaders.py", "./train_pipelines.py", "./cityscapes.py", "./cityscapes_c.py"]
train_dataloader = dict(
    batch_size=4,
    dataset=dict(**_base_.train_cityscapes, pipeline=_base_.train_pipeline_512x512),
)
val_dataloader = dict(**_base_.val_dataloader, dataset=_base_.val_cityscapes)
test_dataloader = dict(
    **_base_.val_dataloader,
    dataset=dict(type="ConcatDataset", datasets=_base_.val_cityscapes_c),
)
val_evaluator = dict(**_base_.val_evaluator, protocol="half size")
test_evaluator = val_evaluator
