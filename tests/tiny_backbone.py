"""A tiny DINOv2 with a Rein adapter."""

import torch
from conftest import build

SMALL = dict(img_size=64, embed_dim=32, depth=4, num_heads=2)
ADAPTER = dict(
    type="LoRAReins", token_length=6, embed_dims=32, num_layers=4, patch_size=16, query_dims=8,
    lora_dim=2)


def rein_backbone(**kwargs):
    """Build the tiny backbone with seeded weights."""
    torch.manual_seed(0)
    return build(dict(type="ReinsDinoVisionTransformer", reins_config=ADAPTER, **SMALL, **kwargs))
