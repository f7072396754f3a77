"""Decode heads: Mask2Former with queries from the adapter, and the encoder-only mask head."""

from rein.models.decode_heads.encoder_only_head import EncoderOnlyHead
from rein.models.decode_heads.rein_mask2former_head import ReinMask2FormerHead

__all__ = ["EncoderOnlyHead", "ReinMask2FormerHead"]
