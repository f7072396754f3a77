"""EVA02 (Fang et al., arXiv:2303.11331), under the published names of `EVA2`.

Sources of names: baaivision/EVA, which Rein's published backbone follows; timm's Eva.
"""

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from rein.checkpoint.families.base import (
    CLASSIFIER,
    VIT,
    Family,
    Naming,
    Rename,
    is_packed_gated,
)


def _is_split(weights: Mapping[str, Tensor]) -> bool:
    """Base and Large project queries, keys and values separately."""
    return "blocks.0.attn.q_proj.weight" in weights


def _is_separate(weights: Mapping[str, Tensor]) -> bool:
    """Base and Large have two projections into the gated layer."""
    return "blocks.0.mlp.w1.weight" in weights or "blocks.0.mlp.fc1_g.weight" in weights


def _is_gated(weights: Mapping[str, Tensor]) -> bool:
    return _is_separate(weights) or is_packed_gated(weights)


PUBLISHED = Naming(
    publisher="EVA02",
    marks=("cls_token", "pos_embed", "blocks.0.mlp.w1.weight|blocks.0.mlp.w12.weight",
           "!blocks.0.ls1.gamma"),
    renames=(
        Rename("blocks.#.attn.q_bias", "blocks.#.attn.q_proj.bias", when=_is_split),
        Rename("blocks.#.attn.v_bias", "blocks.#.attn.v_proj.bias", when=_is_split),
        Rename("blocks.#.attn.inner_attn_ln.*", "blocks.#.attn.norm.*"),
        Rename("blocks.#.mlp.w12.*", "blocks.#.mlp.fc1.*", when=is_packed_gated),
        Rename("blocks.#.mlp.w1.*", "blocks.#.mlp.fc1_g.*"),
        Rename("blocks.#.mlp.w2.*", "blocks.#.mlp.fc1_x.*"),
        Rename("blocks.#.mlp.w3.*", "blocks.#.mlp.fc2.*", when=_is_gated),
        Rename("blocks.#.mlp.ffn_ln.*", "blocks.#.mlp.norm.*"),
    ),
)

EVA02 = Family(
    name="EVA02",
    timm=r"^eva02_",
    namings=(PUBLISHED, replace(PUBLISHED, publisher="EVA02-CLIP", prefix=r"visual\.")),
    published=PUBLISHED,
    marks=("cls_token", "pos_embed", "!reg_token", "!blocks.0.ls1.gamma",
           "blocks.0.mlp.fc1_g.weight|blocks.0.attn.q_bias"),
    sizes={(192, 12): "Ti", (384, 12): "S", (768, 12): "B", (1024, 24): "L"},
    resampled=VIT,
    unused=CLASSIFIER | {
        "mask_token": "replaces masked patches in pretraining; nothing else reads it",
        "lm_head.*": "head of the pretraining",
        "rope.*": "rotary table; computed",
        "blocks.#.attn.rope.*": "rotary table; computed",
    },
)
