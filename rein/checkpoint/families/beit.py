"""BEiT (Bao et al., arXiv:2106.08254) and BEiT v2.

Sources of names: microsoft/unilm, timm's Beit, Hugging Face's `BeitModel`.
"""

from rein.checkpoint.families import vit
from rein.checkpoint.families.base import (
    CLASSIFIER,
    KERNEL,
    Family,
    Naming,
    Rename,
    Resampling,
    join_qkv,
)
from rein.checkpoint.io import StateDict

_TABLE = "blocks.#.attn.relative_position_bias_table"
MICROSOFT = Naming(
    publisher="BEiT",
    marks=(_TABLE, "blocks.0.gamma_1", "blocks.0.attn.relative_position_index|mask_token"))


def _read(weights: StateDict) -> StateDict:
    for name in [name for name in weights if name.endswith((".attn.q.bias", ".attn.v.bias"))]:
        block, part, _ = name.rsplit(".", 2)
        weights[f"{block}.{part}_bias"] = weights.pop(name)
    return join_qkv(weights)


_THEIRS = "encoder.layer.#."
HUGGING_FACE = Naming(
    publisher="Hugging Face",
    prefix=r"(beit\.)?",
    marks=("embeddings.cls_token", f"{_THEIRS}lambda_1"),
    renames=(
        Rename(f"{_THEIRS}lambda_#", "blocks.#.gamma_#"),
        Rename(f"{_THEIRS}attention.attention.relative_position_bias.relative_position_bias_table",
               _TABLE),
        *vit.ROWS,
    ),
    read=_read,
)

BEIT = Family(
    name="BEiT",
    timm=r"^beit(v2)?_",
    namings=(MICROSOFT, HUGGING_FACE),
    marks=(_TABLE, "blocks.0.gamma_1"),
    sizes={(768, 12): "ViT-B", (1024, 24): "ViT-L"},
    resampled=KERNEL | {_TABLE: Resampling("bias_table")},
    positions="relative",
    unused=CLASSIFIER | {
        "mask_token": "replaces masked patches in pretraining; nothing else reads it",
        "lm_head.*": "head of the pretraining",
        "pooler.*": "pooling head", "classifier.*": "classifier",
        "*.relative_position_index": "buffer of positions",
    },
)
