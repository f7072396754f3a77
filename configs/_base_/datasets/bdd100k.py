"""BDD100K; folders and facts: rein/datasets/descriptions/bdd100k.py."""

_base_ = []  # has to precede the import: mmengine then reads this file as a plain config
from rein.datasets.descriptions import dataset_config

train_bdd = dataset_config("train_bdd")
val_bdd = dataset_config("val_bdd", protocol="rein")  # `full` is the same
