"""Adapters: small trainable modules that refine a frozen backbone."""

from rein.models.adapters.base import Adapter
from rein.models.adapters.per_stage import StageAdapters, build_adapter
from rein.models.adapters.reins import LoRAReins, Reins

__all__ = ["Adapter", "LoRAReins", "Reins", "StageAdapters", "build_adapter"]
