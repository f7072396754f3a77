"""GTA V; folders and facts: rein/datasets/descriptions/gta.py."""

_base_ = []  # has to precede the import: mmengine then reads this file as a plain config
from rein.datasets.descriptions import dataset_config, eval_pipeline

train_gta = dataset_config("train_gta")
val_gta = dict(train_gta, pipeline=eval_pipeline(1280, 720))
