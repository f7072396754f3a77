"""Segmentors: combinations of a backbone and a head."""

from mmseg.registry import MODELS

from rein.models.segmentors.encoder_decoder import EncoderDecoder
from rein.models.segmentors.frozen_backbone import FrozenBackboneEncoderDecoder

__all__ = ["EncoderDecoder", "FrozenBackboneEncoderDecoder"]

# SoMA's published configs name its segmentor so; the adapter is the backbone's `lora_cfg`
MODELS.register_module("PEFTBackboneEncoderDecoder", module=EncoderDecoder)
