"""Toy GTA -> toy Cityscapes, BDD100K, Mapillary, ACDC night, as tools/make_toy_streets.py has it.

The toy world lies in data/toy in the same formats and folders as the real datasets in data.
"""

_base_ = [
    "./loaders.py", "./train_pipelines.py",
    "./gta.py", "./cityscapes.py", "./bdd100k.py", "./mapillary.py", "./acdc.py",
]
root = "data/toy/"


def _toy(dataset, folder):
    load, _, annotate, pack = dataset["pipeline"]
    resize = dict(type="Resize", scale=(512, 256), keep_ratio=True)
    return dict(dataset, data_root=f"{root}{folder}/", pipeline=[load, resize, annotate, pack])


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
val_evaluator = dict(
    **_base_.val_evaluator, dataset_keys=["citys", "bdd", "map", "acdc_night"], protocol="toy")
test_evaluator = val_evaluator
# as the real ones: `rein` halves Cityscapes and Mapillary, `full` does not; toy frames are small
protocols = dict(
    rein=dict(
        citys=dict(scale=(256, 128)),
        bdd=dict(scale=(448, 252)),
        map=dict(
            scale=(256, 128),
            data_prefix=dict(img_path="half/val_img", seg_map_path="half/val_label")),
    ),
    full=dict(
        citys=dict(scale=(512, 256)),
        bdd=dict(scale=(448, 252)),
        map=dict(
            scale=(512, 256),
            data_prefix=dict(
                img_path="validation/images", seg_map_path="cityscapes_trainIdLabel/val/label")),
        acdc_night=dict(scale=(480, 270)),
    ),
)
