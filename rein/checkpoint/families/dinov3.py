"""DINOv3 (Siméoni et al., arXiv:2508.10104) as a ViT, and networks distilled from it (EUPE).

Sources of names: facebookresearch/dinov3, timm's Eva, Hugging Face's `DINOv3ViTModel`. Its ConvNeXt
networks are described in `convnext`.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from rein.checkpoint.families.base import (
    CLASSIFIER,
    KERNEL,
    Family,
    Naming,
    Rename,
    join_qkv,
)
from rein.checkpoint.io import StateDict
from rein.errors import UserError


def _split_bias(weights: StateDict) -> StateDict:
    """The bias of queries, keys and values becomes timm's `q_bias` and `v_bias`; keys have none."""
    for name in [name for name in weights if name.endswith(".attn.qkv.bias")]:
        query, _, value = weights.pop(name).chunk(3)
        block = name.removesuffix("qkv.bias")
        weights |= {f"{block}q_bias": query, f"{block}v_bias": value}
    return weights


def _drop_zero_biases(weights: StateDict, expected: Mapping[str, Tensor]) -> StateDict:
    """Drop biases that are zero where the network has none (timm's names without `_qkvb`)."""
    surplus = [name for name in weights
               if name.endswith((".q_bias", ".v_bias")) and name not in expected]
    used = [name for name in surplus if not weights[name].is_meta and weights[name].any()]
    if used:
        raise UserError(
            f"{used[0]} is not zero, but the model has no such bias; use the model whose timm name "
            "ends with _qkvb.")
    kept = {name: value for name, value in weights.items() if name not in surplus}
    for name in expected:  # files without biases, for a model with them
        if name.endswith((".q_bias", ".v_bias")) and name not in weights:
            kept[name] = torch.zeros_like(expected[name], device="cpu")
    return kept


_GATED = (
    Rename("blocks.#.mlp.w1.*", "blocks.#.mlp.fc1_g.*"),
    Rename("blocks.#.mlp.w2.*", "blocks.#.mlp.fc1_x.*"),
    Rename("blocks.#.mlp.w3.*", "blocks.#.mlp.fc2.*"),
)
META = Naming(
    publisher="DINOv3",
    marks=("storage_tokens", "blocks.0.ls1.gamma"),
    renames=(
        Rename("storage_tokens", "reg_token"),
        Rename("blocks.#.ls#.gamma", "blocks.#.gamma_#"),
        *_GATED,
    ),
    read=_split_bias,
)

_BLOCK, _THEIRS = "blocks.#.", "layer.#."


def _is_gated(weights: StateDict) -> bool:
    return "layer.0.mlp.gate_proj.weight" in weights




def _read_hugging_face(weights: StateDict) -> StateDict:
    for name in [name for name in weights if name.endswith(".attn.q.bias")]:
        block = name.removesuffix("q.bias")
        weights[f"{block}q_bias"] = weights.pop(name)
        weights[f"{block}v_bias"] = weights.pop(f"{block}v.bias")
    return join_qkv(weights)


HUGGING_FACE = Naming(
    publisher="Hugging Face",
    prefix=r"(dinov3_vit\.|dinov3\.)?(model\.)?",
    marks=("embeddings.register_tokens", f"{_THEIRS}attention.q_proj.weight"),
    renames=(
        Rename("embeddings.register_tokens", "reg_token"),
        Rename("embeddings.patch_embeddings.*", "patch_embed.proj.*"),
        Rename("embeddings.*", "*"),
        Rename(f"{_THEIRS}attention.q_proj.*", f"{_BLOCK}attn.q.*"),
        Rename(f"{_THEIRS}attention.k_proj.*", f"{_BLOCK}attn.k.*"),
        Rename(f"{_THEIRS}attention.v_proj.*", f"{_BLOCK}attn.v.*"),
        Rename(f"{_THEIRS}attention.o_proj.*", f"{_BLOCK}attn.proj.*"),
        Rename(f"{_THEIRS}layer_scale#.lambda1", f"{_BLOCK}gamma_#"),
        Rename(f"{_THEIRS}mlp.gate_proj.*", f"{_BLOCK}mlp.fc1_g.*"),
        Rename(f"{_THEIRS}mlp.up_proj.*", f"{_BLOCK}mlp.fc1_x.*", when=_is_gated),
        Rename(f"{_THEIRS}mlp.up_proj.*", f"{_BLOCK}mlp.fc1.*"),
        Rename(f"{_THEIRS}mlp.down_proj.*", f"{_BLOCK}mlp.fc2.*"),
        Rename(f"{_THEIRS}*", f"{_BLOCK}*"),
    ),
    read=_read_hugging_face,
)

DINOV3 = Family(
    name="DINOv3",
    timm=r"^vit_.*_dinov3(_qkvb)?$",
    namings=(META, HUGGING_FACE),
    marks=("cls_token", "reg_token", "blocks.0.gamma_1", "!pos_embed",
           "!blocks.0.attn.relative_position_bias_table"),
    sizes={(192, 12): "ViT-Ti", (384, 12): "ViT-S", (768, 12): "ViT-B", (1024, 24): "ViT-L",
           (1280, 32): "ViT-H+", (4096, 40): "ViT-7B"},
    resampled=KERNEL,
    unused=CLASSIFIER | {
        "mask_token": "replaces masked patches in pretraining; nothing else reads it",
        "rope_embed.periods": "rotary frequencies; computed",
        "blocks.#.attn.qkv.bias_mask": "mask of the key bias, which is zero",
        "local_cls_norm.*": "norm for small crops in pretraining",
        "projectors.*": "heads for distillation",
    },
    adapt=_drop_zero_biases,
)
