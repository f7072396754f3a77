"""Backbones: vision foundation models as feature pyramids."""

from rein.models.backbones.clip import CLIPVisionTransformer
from rein.models.backbones.convnext import ReinsConvNeXt
from rein.models.backbones.dinov2 import DinoVisionTransformer, ReinsDinoVisionTransformer
from rein.models.backbones.eva02 import EVA2, ReinsEVA2
from rein.models.backbones.resnet import ReinsResNetV1c
from rein.models.backbones.vfm import VisionFoundationModel

__all__ = [
    "CLIPVisionTransformer",
    "DinoVisionTransformer",
    "EVA2",
    "ReinsConvNeXt",
    "ReinsDinoVisionTransformer",
    "ReinsEVA2",
    "ReinsResNetV1c",
    "VisionFoundationModel",
]
