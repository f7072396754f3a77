"""DINOv2 (Oquab et al., arXiv:2304.07193), with and without registers (arXiv:2309.16588).

Sources of names: facebookresearch/dinov2, timm's VisionTransformer, Hugging Face's `Dinov2Model`
and `Dinov2WithRegistersModel`.
"""

import torch

from rein.checkpoint.families.base import (
    Family,
    Naming,
    Rename,
    is_packed_gated,
    join_qkv,
)
from rein.checkpoint.io import StateDict

_MARKS = ("cls_token", "pos_embed", "blocks.0.ls1.gamma")


def _read(weights: StateDict) -> StateDict:
    """With registers, timm's class token includes its position."""
    if {"reg_token", "pos_embed", "cls_token"} <= weights.keys():
        position = weights["pos_embed"]
        weights["cls_token"] = weights["cls_token"] + position[:, :1]
        weights["pos_embed"] = position[:, 1:]
    return weights


def _write(weights: StateDict) -> StateDict:
    """With registers, DINOv2's class token has a position; it is zero if the token includes it."""
    if {"reg_token", "pos_embed"} <= weights.keys():
        position = weights["pos_embed"]
        weights["pos_embed"] = torch.cat((torch.zeros_like(position[:, :1]), position), 1)
    return weights


def _is_not_timms(weights: StateDict) -> bool:
    """Plain networks have the same names in DINOv2 and timm; DINOv2's are reported."""
    is_named = "blocks.0.mlp.w12.weight" in weights or not is_packed_gated(weights)
    return is_named and "reg_token" not in weights


META = Naming(
    publisher="DINOv2",
    marks=_MARKS,
    renames=(
        Rename("register_tokens", "reg_token"),
        Rename("blocks.#.mlp.w12.*", "blocks.#.mlp.fc1.*", when=is_packed_gated),
        Rename("blocks.#.mlp.w3.*", "blocks.#.mlp.fc2.*", when=is_packed_gated),
    ),
    read=_read,
    write=_write,
    fits=_is_not_timms,
)

_BLOCK, _THEIRS = "blocks.#.", "encoder.layer.#."
HUGGING_FACE = Naming(
    publisher="Hugging Face",
    prefix=r"(dinov2\.|dinov2_with_registers\.)?",
    marks=("embeddings.cls_token", f"{_THEIRS}norm1.weight"),
    renames=(
        Rename("embeddings.position_embeddings", "pos_embed"),
        Rename("embeddings.patch_embeddings.projection.*", "patch_embed.proj.*"),
        Rename("embeddings.register_tokens", "reg_token"),
        Rename("embeddings.*", "*"),
        Rename("layernorm.*", "norm.*"),
        Rename(f"{_THEIRS}attention.output.dense.*", f"{_BLOCK}attn.proj.*"),
        Rename(f"{_THEIRS}attention.attention.query.*", f"{_BLOCK}attn.q.*"),
        Rename(f"{_THEIRS}attention.attention.key.*", f"{_BLOCK}attn.k.*"),
        Rename(f"{_THEIRS}attention.attention.value.*", f"{_BLOCK}attn.v.*"),
        Rename(f"{_THEIRS}layer_scale#.lambda1", f"{_BLOCK}ls#.gamma"),
        Rename(f"{_THEIRS}mlp.weights_in.*", f"{_BLOCK}mlp.fc1.*"),
        Rename(f"{_THEIRS}mlp.weights_out.*", f"{_BLOCK}mlp.fc2.*"),
        Rename(f"{_THEIRS}*", f"{_BLOCK}*"),
    ),
    read=lambda weights: _read(join_qkv(weights)),
)


def _has_its_registers(weights: StateDict) -> bool:
    """Four registers; TIPS has one, C-RADIO more."""
    return "reg_token" not in weights or weights["reg_token"].shape[1] == 4


DINOV2 = Family(
    name="DINOv2",
    timm=r"_dinov2$",
    namings=(META, HUGGING_FACE),
    published=META,
    marks=_MARKS,
    fits=_has_its_registers,
    sizes={(384, 12): "ViT-S", (768, 12): "ViT-B", (1024, 24): "ViT-L", (1536, 40): "ViT-g"},
    unused={"mask_token": "replaces masked patches in pretraining; nothing else reads it"},
    patch=14,
)
