"""GTA V -> Cityscapes, BDD100K and Mapillary; crop 512, batch 4, tested with protocol `rein`."""

_base_ = [
    "./loaders.py", "./train_pipelines.py",
    "./gta.py", "./cityscapes.py", "./bdd100k.py", "./mapillary.py",
]
train_dataloader = dict(
    batch_size=4,
    dataset=dict(**_base_.train_gta, pipeline=_base_.train_pipeline_512x512),
)
val_dataloader = dict(
    **_base_.val_dataloader,
    dataset=dict(
        type="ConcatDataset",
        datasets=[_base_.val_cityscapes, _base_.val_bdd, _base_.val_mapillary],
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(
    **_base_.val_evaluator, dataset_keys=["citys", "map", "bdd"], protocol="rein")
test_evaluator = val_evaluator
