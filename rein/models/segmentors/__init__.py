"""Segmentors: how backbone and head are put together."""

from rein.models.segmentors.encoder_decoder import EncoderDecoder
from rein.models.segmentors.frozen_backbone import FrozenBackboneEncoderDecoder

__all__ = ["EncoderDecoder", "FrozenBackboneEncoderDecoder"]
