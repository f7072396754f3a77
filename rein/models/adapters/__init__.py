"""Adapters: small trainable modules that refine a frozen backbone's tokens."""

from rein.models.adapters.reins import LoRAReins, Reins

__all__ = ["LoRAReins", "Reins"]
