"""Cityscapes -> BDD100K and Mapillary; crop 512, batch 4, tested with protocol `rein`."""

_base_ = "./dg_gta_512x512.py"
train_dataloader = dict(
    dataset=dict(
        _delete_=True, **_base_.train_cityscapes, pipeline=_base_.train_pipeline_512x512),
)
val_dataloader = dict(dataset=dict(datasets=[_base_.val_bdd, _base_.val_mapillary]))
test_dataloader = val_dataloader
val_evaluator = dict(dataset_keys=["bdd", "map"])
test_evaluator = val_evaluator
