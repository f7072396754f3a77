"""SYNTHIA; folders and facts: rein/datasets/descriptions/synthia.py."""

_base_ = []  # has to precede the import: mmengine then reads this file as a plain config
from rein.datasets.descriptions import dataset_config

train_synthia = dataset_config("train_synthia")
