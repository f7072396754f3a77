"""Decode heads: Mask2Former with queries from the adapter."""

from rein.models.decode_heads.rein_mask2former_head import ReinMask2FormerHead

__all__ = ["ReinMask2FormerHead"]
