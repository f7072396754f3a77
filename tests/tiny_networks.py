"""A tiny network of every family, as a backbone with a Rein adapter."""

import torch
from conftest import build

ADAPTER = dict(type="LoRAReins", token_length=6, query_dims=8, lora_dim=2)
STAGED = {
    "convnext": dict(model="convnext_atto", depths=(1, 1, 2, 1), dims=(8, 16, 24, 32)),
    "resnet": dict(model="resnet26", layers=(1, 1, 2, 1), channels=(8, 16, 24, 32)),
    "swin": dict(model="swin_tiny_patch4_window7_224", depths=(1, 1, 2, 1), embed_dim=12,
                 num_heads=(1, 2, 2, 2)),
    "sam2": dict(model="sam2_hiera_tiny", stages=(1, 2, 3, 2), embed_dim=12,
                 global_att_blocks=(4,)),
    "efficientnet": dict(model="tf_efficientnet_lite0"),
}
_VIT = dict(img_size=64, embed_dim=32, depth=4, num_heads=2)
PLAIN = {
    "dinov2": dict(model="vit_small_patch14_reg4_dinov2", **_VIT | dict(img_size=56)),
    "dinov3": dict(model="vit_small_patch16_dinov3", **_VIT),
    "eva02": dict(model="eva02_base_patch14_448", **_VIT | dict(img_size=56)),
    "clip": dict(model="vit_base_patch16_clip_quickgelu_224", **_VIT),
    "mae": dict(model="vit_base_patch16_224.mae", **_VIT),
    "sam": dict(model="samvit_base_patch16", **_VIT),
    "siglip2": dict(model="vit_base_patch16_siglip_512", **_VIT),
    "pe": dict(model="vit_pe_spatial_tiny_patch16_512", **_VIT),
}
NETWORKS = STAGED | PLAIN


def tiny_network(name, **kwargs):
    """Build a tiny backbone with seeded weights."""
    torch.manual_seed(0)
    return build(dict(
        type="VisionFoundationModel", reins_config=ADAPTER, **NETWORKS[name]) | kwargs)
