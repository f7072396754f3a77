"""Backbones: vision foundation models as feature pyramids."""

from rein.models.backbones.dinov2 import DinoVisionTransformer, ReinsDinoVisionTransformer
from rein.models.backbones.vfm import VisionFoundationModel

__all__ = ["DinoVisionTransformer", "ReinsDinoVisionTransformer", "VisionFoundationModel"]
