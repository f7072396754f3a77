"""Datasets: street scenes with a domain on every sample, label maps, converters, the toy world."""

from rein.datasets.corruptions import Corrupt
from rein.datasets.urban import StampDomain, UrbanSceneDataset

__all__ = ["Corrupt", "StampDomain", "UrbanSceneDataset"]
