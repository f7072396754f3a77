"""Rein: frozen vision foundation models for domain-generalized semantic segmentation.

Importing the package fills the registries of mmseg and mmengine with its models, datasets,
metrics and hooks.
"""

# ruff: noqa: F401, I001  imported for what they register; compat has to come first
from rein import compat
from rein import datasets, engine, evaluation, models

__version__ = "0.1.0"
