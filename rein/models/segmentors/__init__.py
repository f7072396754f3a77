"""Segmentors: combinations of a backbone and a head."""

from rein.models.segmentors.encoder_decoder import EncoderDecoder
from rein.models.segmentors.frozen_backbone import FrozenBackboneEncoderDecoder

__all__ = ["EncoderDecoder", "FrozenBackboneEncoderDecoder"]
