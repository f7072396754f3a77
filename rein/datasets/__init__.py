"""Datasets: street scenes with a domain on every sample, label maps, converters, the toy world."""

from rein.datasets.urban import StampDomain, UrbanSceneDataset

__all__ = ["StampDomain", "UrbanSceneDataset"]
