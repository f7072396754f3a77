"""CLIP's vision transformers (Radford et al., arXiv:2103.00020).

Sources of names: openai/CLIP, whose `VisionTransformer` the published type `CLIPVisionTransformer`
is; timm's `VisionTransformer`.
"""

from rein.checkpoint.families.base import CLASSIFIER, KERNEL, Family, Naming, Rename, Resampling
from rein.checkpoint.io import StateDict


def _read(weights: StateDict) -> StateDict:
    """OpenAI adds the class embedding twice: as the token, and again with its position."""
    if "cls_token" in weights:
        weights["cls_token"] = 2 * weights["cls_token"].reshape(1, 1, -1)
    if "pos_embed" in weights:
        weights["pos_embed"] = weights["pos_embed"][None]
    return weights


def _write(weights: StateDict) -> StateDict:
    """Return to OpenAI's shapes and class embedding, the inverse of `_read`."""
    if "cls_token" in weights:
        weights["cls_token"] = weights["cls_token"].flatten() / 2
    if "pos_embed" in weights:
        weights["pos_embed"] = weights["pos_embed"][0]
    return weights


_BLOCK, _THEIRS = "blocks.#.", "transformer.resblocks.#."
_RENAMES = (
    Rename("conv1.weight", "patch_embed.proj.weight"),
    Rename("class_embedding", "cls_token"),
    Rename("positional_embedding", "pos_embed"),
    Rename("ln_pre.*", "norm_pre.*"),
    Rename("ln_post.*", "norm.*"),
    Rename(f"{_THEIRS}ln_1.*", f"{_BLOCK}norm1.*"),
    Rename(f"{_THEIRS}ln_2.*", f"{_BLOCK}norm2.*"),
    Rename(f"{_THEIRS}attn.in_proj_weight", f"{_BLOCK}attn.qkv.weight"),
    Rename(f"{_THEIRS}attn.in_proj_bias", f"{_BLOCK}attn.qkv.bias"),
    Rename(f"{_THEIRS}attn.out_proj.*", f"{_BLOCK}attn.proj.*"),
    Rename(f"{_THEIRS}mlp.c_fc.*", f"{_BLOCK}mlp.fc1.*"),
    Rename(f"{_THEIRS}mlp.c_proj.*", f"{_BLOCK}mlp.fc2.*"),
)
_MARKS = ("class_embedding", "ln_pre.weight", "!transformer.resblocks.0.ls_1.gamma")

PUBLISHED = Naming(
    publisher="CLIP", marks=_MARKS, renames=_RENAMES, read=_read, write=_write)
OPENAI = Naming(
    publisher="OpenAI", prefix=r"visual\.", marks=_MARKS, renames=_RENAMES, read=_read)


CLIP = Family(
    name="CLIP",
    timm=r"^vit_.*_(clip|metaclip)",
    namings=(PUBLISHED, OPENAI),
    published=PUBLISHED,
    marks=("cls_token", "pos_embed", "norm_pre.weight", "!reg_token", "!blocks.0.gamma_1"),
    sizes={(768, 12): "ViT-B", (1024, 24): "ViT-L", (1280, 32): "ViT-H"},
    resampled=KERNEL | {"pos_embed": Resampling("positions", "bilinear")},
    unused=CLASSIFIER | {
        "ln_post.*": "norm before the joint embedding", "proj": "joint embedding of image and text",
    },
)
