"""Rename a backbone's weights to DINOv2's names, whoever published the file.

Sources: facebookresearch/dinov2 (target names), timm's VisionTransformer and Hugging Face's
`Dinov2Model` and `Dinov2WithRegistersModel` (source names).
"""

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from rein.checkpoint.io import StateDict, load_file, state_dict_of

GATED_NAMES = (("mlp.fc1", "mlp.w12"), ("mlp.fc2", "mlp.w3"))
REGISTER_NAMES = (("reg_token", "register_tokens"),)
"""Pairs (timm's, DINOv2's) of dotted parts of a key that differ: gated feed-forward layers
(ViT-g) and registers."""

_HUGGING_FACE = (
    (r"^(dinov2|dinov2_with_registers)\.", ""),
    (r"^embeddings\.position_embeddings$", "pos_embed"),
    (r"^embeddings\.patch_embeddings\.projection\.", "patch_embed.proj."),
    (r"^embeddings\.(cls_token|mask_token|register_tokens)$", r"\1"),
    (r"^layernorm\.", "norm."),
    (r"^encoder\.layer\.", "blocks."),
    (r"\.attention\.output\.dense\.", ".attn.proj."),
    (r"\.attention\.attention\.(query|key|value)\.", r".attn.\1."),
    (r"\.layer_scale([12])\.lambda1$", r".ls\1.gamma"),
    (r"\.mlp\.weights_in\.", ".mlp.w12."),
    (r"\.mlp\.weights_out\.", ".mlp.w3."),
)


def naming(state_dict: Mapping[str, Tensor]) -> str:
    """Tell whose names a backbone's weights use: "Hugging Face", "timm" or "DINOv2"."""
    if any(name.endswith("embeddings.cls_token") for name in state_dict):
        return "Hugging Face"
    is_timm = "reg_token" in state_dict or _has_packed_gated_layers(state_dict)
    return "timm" if is_timm else "DINOv2"


def to_dinov2_names(state_dict: Mapping[str, Tensor]) -> StateDict:
    """Rename a backbone's weights to DINOv2's names.

    Args:
        state_dict: Under DINOv2's, timm's or Hugging Face's names. Other weights pass unchanged.

    Returns:
        A new dict that shares all values, except queries, keys and values, which DINOv2 joins,
        and timm's positions, which lack the class token's.
    """
    whose = naming(state_dict)
    if whose == "Hugging Face":
        return _from_hugging_face(state_dict)
    if whose == "timm":
        return _from_timm(state_dict)
    return dict(state_dict)


def load_backbone(path: str | Path) -> StateDict:
    """Read a backbone's weights safely, under DINOv2's names; see `load_file`."""
    return to_dinov2_names(state_dict_of(load_file(path)))


def rename(name: str, pairs: tuple[tuple[str, str], ...]) -> str:
    """Replace whole dotted parts of a key."""
    for old, new in pairs:
        name = re.sub(rf"(?<![\w]){re.escape(old)}(?![\w])", new, name)
    return name


def is_packed_gated(first: Tensor | None, second: Tensor | None) -> bool:
    """Tell whether a gated feed-forward layer joins both input projections, as in ViT-g.

    DINOv2 and timm name such a layer differently. EVA02-B/L and DINOv3-H+ have separate
    projections (`fc1_g`, `fc1_x`), and everyone uses the same names for these.

    Args:
        first: Weight of timm's `fc1`, (out, in), or None.
        second: Weight of timm's `fc2`, or None.
    """
    return first is not None and second is not None and first.shape[0] == 2 * second.shape[1]


def _has_packed_gated_layers(state_dict: Mapping[str, Tensor]) -> bool:
    return is_packed_gated(*(state_dict.get(f"blocks.0.mlp.{n}.weight") for n in ("fc1", "fc2")))


def _from_timm(state_dict: Mapping[str, Tensor]) -> StateDict:
    pairs = (GATED_NAMES if _has_packed_gated_layers(state_dict) else ()) + REGISTER_NAMES
    renamed = {rename(name, pairs): value for name, value in state_dict.items()}
    position = renamed.get("pos_embed")
    if "reg_token" in state_dict and position is not None:
        if round(position.shape[1]**0.5)**2 == position.shape[1]:
            # with registers, timm's class token already includes its position
            renamed["pos_embed"] = torch.cat((torch.zeros_like(position[:, :1]), position), 1)
    return renamed


def _from_hugging_face(state_dict: Mapping[str, Tensor]) -> StateDict:
    renamed: StateDict = {}
    for name, value in state_dict.items():
        for pattern, replacement in _HUGGING_FACE:
            name = re.sub(pattern, replacement, name)
        renamed[name] = value
    for name in [name for name in renamed if ".attn.query." in name]:
        three = [name.replace(".query.", f".{part}.") for part in ("query", "key", "value")]
        if all(part in renamed for part in three):
            renamed[name.replace(".query.", ".qkv.")] = torch.cat([renamed.pop(n) for n in three])
    return renamed
