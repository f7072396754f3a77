"""Cityscapes -> ACDC night, fog, rain and snow; crop 512, batch 4, tested at half size."""

_base_ = ["./loaders.py", "./train_pipelines.py", "./cityscapes.py", "./acdc.py"]
train_dataloader = dict(
    batch_size=4,
    dataset=dict(**_base_.train_cityscapes, pipeline=_base_.train_pipeline_512x512),
)
val_dataloader = dict(
    **_base_.val_dataloader,
    dataset=dict(
        type="ConcatDataset",
        datasets=[
            _base_.val_acdc_night, _base_.val_acdc_fog, _base_.val_acdc_rain, _base_.val_acdc_snow,
        ],
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(
    **_base_.val_evaluator, dataset_keys=["acdc_night", "acdc_fog", "acdc_rain", "acdc_snow"])
test_evaluator = val_evaluator
