"""Cityscapes -> ACDC night, fog, rain and snow; crop 1024, batch 2 per GPU, tested at full size."""

_base_ = "./dg_citys2acdc_512x512.py"
train_dataloader = dict(
    batch_size=2,  # x 4 GPUs
    dataset=dict(pipeline=_base_.train_pipeline_1024x1024),
)
val_dataloader = dict(
    dataset=dict(
        datasets=[
            dict(dataset, pipeline=_base_.acdc_full_pipeline)
            for dataset in _base_.val_dataloader.dataset.datasets
        ],
    ),
)
test_dataloader = val_dataloader
