"""Models: adapters, backbones, decode heads and segmentors."""

import rein.compat  # noqa: F401  before the stack

from rein.models.adapters import LoRAReins, Reins
from rein.models.backbones import (
    EVA2,
    CLIPVisionTransformer,
    DinoVisionTransformer,
    ReinsConvNeXt,
    ReinsDinoVisionTransformer,
    ReinsEVA2,
    ReinsResNetV1c,
    VisionFoundationModel,
)
from rein.models.decode_heads import ReinMask2FormerHead
from rein.models.segmentors import EncoderDecoder, FrozenBackboneEncoderDecoder

__all__ = [
    "CLIPVisionTransformer",
    "DinoVisionTransformer",
    "EVA2",
    "EncoderDecoder",
    "FrozenBackboneEncoderDecoder",
    "LoRAReins",
    "ReinMask2FormerHead",
    "Reins",
    "ReinsConvNeXt",
    "ReinsDinoVisionTransformer",
    "ReinsEVA2",
    "ReinsResNetV1c",
    "VisionFoundationModel",
]
