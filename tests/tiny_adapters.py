"""Tiny backbones with every adapter."""

import importlib.util

import pytest
import torch
import torch.nn.functional as F
from conftest import build
from tiny_backbone import SMALL
from tiny_networks import ADAPTER, STAGED

REIN = {**ADAPTER, "link_token_to_query": False}
LORA = dict(type="LoRA", rank=2, targets=["q", "v", "proj", "fc1"])
ADAPTERS = {
    "rein": REIN,
    "lora": LORA,
    "dora": dict(LORA, type="DoRA"),
    "soma": dict(type="SoMA", rank=3, blocks=[1, 4]),
    "vpt": dict(type="VPT", num_tokens=5),
    "vpt_shallow": dict(type="VPT", num_tokens=5, deep=False),
    "adaptformer": dict(type="AdaptFormer", hidden_dims=6),
    "bitfit": dict(type="BitFit"),
    "norm": dict(type="NormTuning"),
    "combined": dict(type="Combined", adapters=[REIN, dict(type="LoRA", rank=2)]),
}
PEFT = pytest.param(
    dict(type="Peft", config=dict(peft_type="LORA", r=2, target_modules=["qkv", "fc1"])),
    id="peft", marks=pytest.mark.skipif(
        importlib.util.find_spec("peft") is None, reason="needs the extra `peft`"))
FOLDS = ("lora", "dora", "soma", "bitfit", "norm")
STARTS_FROZEN = ("lora", "dora", "soma", "adaptformer", "bitfit", "norm")
NETWORKS = {
    "plain": dict(type="ReinsDinoVisionTransformer", **SMALL),
    "registers": dict(type="ReinsDinoVisionTransformer", num_register_tokens=4, **SMALL),
    "rotary": dict(
        type="VisionFoundationModel", model="eva02_tiny_patch14_224", img_size=56, embed_dim=32,
        depth=4, num_heads=2, qkv_fused=False),
}
PAIRS = [(adapter, network) for network in (*NETWORKS, "staged") for adapter in ADAPTERS
         if network != "staged" or "vpt" not in adapter]
"""Adapters and networks that fit together: prompts need a plain network."""
IMAGES = torch.randn(2, 3, 56, 56, generator=torch.Generator().manual_seed(1))


def backbone(adapter, network="plain", **kwargs):
    """Build a backbone with seeded weights of moved scales, as loaded."""
    torch.manual_seed(0)
    config = ADAPTERS[adapter] if isinstance(adapter, str) else adapter
    networks = NETWORKS | dict(staged=dict(type="VisionFoundationModel", **STAGED["swin"]))
    built = build(dict(networks[network], reins_config=config, **kwargs))
    with torch.no_grad():
        for name, value in built.model.named_parameters():
            value.copy_(torch.randn_like(value) * 0.2 + (1.0 if "norm" in name else 0.0))
            if "gamma" in name:
                value.fill_(0.5)
    built.reins.on_pretrained()
    return built.eval()


def tokens_of(network, images):
    """Compute the tokens before the first block, and the rotary positions, if any."""
    patch = network.patch_embed.patch_size[0]
    images = F.pad(images, (0, -images.shape[-1] % patch, 0, -images.shape[-2] % patch))
    tokens = network._pos_embed(network.patch_embed(images))
    if isinstance(tokens, tuple):
        return tokens[0], dict(rope=tokens[1])
    return network.norm_pre(tokens), {}
