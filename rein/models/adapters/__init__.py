"""Adapters: small trainable modules that refine a frozen backbone."""

from rein.models.adapters.base import Adapter
from rein.models.adapters.reins import LoRAReins, Reins

__all__ = ["Adapter", "LoRAReins", "Reins"]
