"""Swin Transformer (Liu et al., arXiv:2103.14030).

Sources of names: microsoft/Swin-Transformer, timm's SwinTransformer, mmpretrain.
"""

import re

from torch import Tensor

from rein.checkpoint.families.base import CLASSIFIER, Family, Naming, Rename, Resampling
from rein.checkpoint.io import StateDict


def _read(weights: StateDict) -> StateDict:
    """Timm halves the map at the start of a stage, the publishers at the end."""
    return {re.sub(r"^layers\.(\d+)\.downsample",
                   lambda match: f"layers.{int(match[1]) + 1}.downsample", name): value
            for name, value in weights.items()}


def _in_timms_order(value: Tensor) -> Tensor:
    """Mmpretrain orders the four merged pixels by `nn.Unfold`: (..., C * 4) to (..., 4 * C)."""
    by_pixel = value.unflatten(-1, (-1, 4)).transpose(-1, -2)
    return by_pixel[..., [0, 2, 1, 3], :].flatten(-2)


def _read_mmpretrain(weights: StateDict) -> StateDict:
    return {name: _in_timms_order(value) if ".downsample." in name else value
            for name, value in _read(weights).items()}


MICROSOFT = Naming(
    publisher="Swin", marks=("layers.0.downsample.reduction.weight", "layers.0.blocks.0.*"),
    read=_read)
MMPRETRAIN = Naming(
    publisher="mmpretrain",
    marks=("stages.0.blocks.0.attn.w_msa.qkv.weight",),
    renames=(
        Rename("patch_embed.projection.*", "patch_embed.proj.*"),
        Rename("stages.#.blocks.#.attn.w_msa.*", "layers.#.blocks.#.attn.*"),
        Rename("stages.#.blocks.#.ffn.layers.0.0.*", "layers.#.blocks.#.mlp.fc1.*"),
        Rename("stages.#.blocks.#.ffn.layers.1.*", "layers.#.blocks.#.mlp.fc2.*"),
        Rename("stages.#.*", "layers.#.*"),
    ),
    read=_read_mmpretrain,
)

SWIN = Family(
    name="Swin",
    timm=r"^swin_",
    namings=(MICROSOFT, MMPRETRAIN),
    marks=("layers.0.blocks.0.norm1.weight", "layers.0.blocks.0.attn.qkv.weight"),
    stages="layers.#.blocks.#.norm1.weight",
    sizes={(768, 12): "T", (768, 24): "S", (1024, 24): "B", (1536, 24): "L"},
    resampled={"layers.#.blocks.#.attn.relative_position_bias_table": Resampling("bias_table")},
    positions="relative",
    unused=CLASSIFIER | {
        "norm#.*": "norm of a map",
        "layers.#.blocks.#.attn_mask": "buffer of masks",
        "layers.#.blocks.#.attn.relative_position_index": "buffer of positions",
    },
)
