"""Mapillary Vistas v1.2; folders and facts: rein/datasets/descriptions/mapillary.py."""

_base_ = []  # has to precede the import: mmengine then reads this file as a plain config
from rein.datasets.descriptions import dataset_config

train_mapillary = dataset_config("train_mapillary")
val_mapillary = dataset_config("val_mapillary", protocol="rein")  # halved on disk
val_mapillary_full = dataset_config("val_mapillary_full", protocol="full")
