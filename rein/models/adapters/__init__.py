"""Adapters: small trainable modules that refine a frozen backbone."""

from rein.models.adapters.adaptformer import AdaptFormer
from rein.models.adapters.base import Adapter
from rein.models.adapters.combined import Combined
from rein.models.adapters.encoder_only import EncoderOnlyQueries
from rein.models.adapters.hf_peft import Peft
from rein.models.adapters.lora import DoRA, LoRA
from rein.models.adapters.per_stage import StageAdapters, attached_adapter, build_adapter
from rein.models.adapters.reins import LoRAReins, Reins
from rein.models.adapters.soma import SoMA
from rein.models.adapters.tuning import BitFit, NormTuning
from rein.models.adapters.vpt import VPT

__all__ = [
    "AdaptFormer", "Adapter", "BitFit", "Combined", "DoRA", "EncoderOnlyQueries", "LoRA",
    "LoRAReins", "NormTuning", "Peft", "Reins", "SoMA", "StageAdapters", "VPT", "attached_adapter",
    "build_adapter",
]
