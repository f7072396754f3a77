"""Cityscapes; folders and facts: rein/datasets/descriptions/cityscapes.py."""

_base_ = []  # has to precede the import: mmengine then reads this file as a plain config
from rein.datasets.descriptions import dataset_config

train_cityscapes = dataset_config("train_cityscapes")
train_cityscapes_1of16 = dataset_config("train_cityscapes_1of16")
val_cityscapes = dataset_config("val_cityscapes", protocol="rein")
val_cityscapes_full = dataset_config("val_cityscapes", protocol="full")
