"""Toy GTA -> toy Cityscapes, BDD100K, Mapillary, ACDC night, made by tools/make_toy_streets.py.

The toy datasets in data/toy have the formats and folders of the real ones in data. Calibration uses
other streets of toy GTA, data/toy_held_out: docs/confidence.md has the commands.
"""

_base_ = [
    "./loaders.py", "./train_pipelines.py",
    "./gta.py", "./cityscapes.py", "./bdd100k.py", "./mapillary.py", "./acdc.py",
]
from rein.datasets.descriptions import eval_pipeline

root = "data/toy/"


def _toy(dataset, folder):
    return dict(dataset, data_root=f"{root}{folder}/", pipeline=eval_pipeline(512, 256))


train_dataloader = dict(
    batch_size=4,
    dataset=dict(**_base_.train_gta, pipeline=_base_.train_pipeline_toy),
)
train_dataloader["dataset"]["data_root"] = f"{root}gta/"
val_dataloader = dict(
    **_base_.val_dataloader,
    dataset=dict(
        type="ConcatDataset",
        datasets=[
            _toy(_base_.val_cityscapes, "cityscapes"),
            _toy(_base_.val_bdd, "bdd100k"),
            _toy(_base_.val_mapillary, "mapillary"),
            _toy(_base_.val_acdc_night, "acdc"),
        ],
    ),
)
test_dataloader = val_dataloader
calibration_dataloader = dict(
    **_base_.val_dataloader,
    dataset=dict(_base_.val_gta, data_root="data/toy_held_out/gta/",
                 pipeline=eval_pipeline(512, 256)),
)
val_evaluator = dict(
    **_base_.val_evaluator, dataset_keys=["citys", "bdd", "map", "acdc_night"], protocol="toy")
test_evaluator = val_evaluator
# as for the real data: `rein` halves Cityscapes and Mapillary, `full` keeps full size
protocols = dict(
    rein=dict(
        citys=dict(scale=(256, 128)),
        bdd=dict(scale=(448, 252)),
        map=dict(
            scale=(256, 128),
            data_prefix=dict(_base_.val_mapillary["data_prefix"])),
    ),
    full=dict(
        citys=dict(scale=(512, 256)),
        bdd=dict(scale=(448, 252)),
        map=dict(
            scale=(512, 256),
            data_prefix=dict(_base_.val_mapillary_full["data_prefix"])),
        acdc_night=dict(scale=(480, 270)),
    ),
)
