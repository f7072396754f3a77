"""EVA-02 (Fang et al., arXiv:2303.11331).

Sources of names: baaivision/EVA (`eva02_L_pt_m38m_p14to16.pt`), whose names the published types
`EVA2` and `ReinsEVA2` have; timm's `Eva`.
"""

from rein.checkpoint.families.base import CLASSIFIER, Family, Naming, Rename
from rein.checkpoint.io import StateDict


def _read(weights: StateDict) -> StateDict:
    """Split projections of L and B have their biases in timm; fused ones of Ti and S do not."""
    for name in [name for name in weights if name.endswith((".attn.q_bias", ".attn.v_bias"))]:
        projection = name.removesuffix("_bias") + "_proj"
        if f"{projection}.weight" in weights:
            weights[f"{projection}.bias"] = weights.pop(name)
    return weights


def _write(weights: StateDict) -> StateDict:
    """Return the biases to their own names, the inverse of `_read`."""
    for name in [name for name in weights if name.endswith((".q_proj.bias", ".v_proj.bias"))]:
        weights[name.removesuffix("_proj.bias") + "_bias"] = weights.pop(name)
    return weights


def _is_split(weights: StateDict) -> bool:
    return "blocks.0.mlp.fc1_g.weight" in weights


BAAI = Naming(
    publisher="EVA-02",
    marks=("blocks.0.mlp.w1.weight|blocks.0.mlp.w12.weight", "blocks.0.attn.q_bias", "pos_embed"),
    renames=(
        Rename("blocks.#.mlp.w1.*", "blocks.#.mlp.fc1_g.*", when=_is_split),
        Rename("blocks.#.mlp.w2.*", "blocks.#.mlp.fc1_x.*", when=_is_split),
        Rename("blocks.#.mlp.w12.*", "blocks.#.mlp.fc1.*", when=lambda w: not _is_split(w)),
        Rename("blocks.#.mlp.w3.*", "blocks.#.mlp.fc2.*"),
        Rename("blocks.#.mlp.ffn_ln.*", "blocks.#.mlp.norm.*"),
    ),
    read=_read,
    write=_write,
)

EVA02 = Family(
    name="EVA-02",
    timm=r"^eva02_(?!.*clip)",
    namings=(BAAI,),
    published=BAAI,
    marks=("cls_token", "pos_embed", "!reg_token",
           "blocks.0.mlp.fc1_g.weight|blocks.0.attn.q_bias",
           "!blocks.0.attn.relative_position_bias_table"),
    sizes={(192, 12): "ViT-Ti", (384, 12): "ViT-S", (768, 12): "ViT-B", (1024, 24): "ViT-L"},
    unused=CLASSIFIER | {
        "mask_token": "replaces masked patches in pretraining; nothing else reads it",
        "lm_head.*": "predicts masked patches in pretraining",
        "rope.freqs_*": "rotary frequencies; computed",
        "blocks.#.attn.rope.freqs_*": "rotary frequencies; computed",
    },
)
