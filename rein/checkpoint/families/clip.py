"""CLIP (Radford et al., arXiv:2103.00020) and MetaCLIP; names also of Perception Encoder, SigLIP.

Sources of names: OpenAI's archives and open_clip, which the published `CLIPVisionTransformer`
follows; timm's VisionTransformer; Hugging Face's `CLIPVisionModel`.
"""

from dataclasses import replace

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

_BLOCK = "transformer.resblocks.#."


def _read(weights: StateDict) -> StateDict:
    """Timm's token and positions have a batch axis."""
    for name, axes in (("cls_token", (None, None)), ("pos_embed", (None,))):
        if name in weights and weights[name].ndim < 3:
            weights[name] = weights[name][axes]
    return weights


def _write(weights: StateDict) -> StateDict:
    if "cls_token" in weights:
        weights["cls_token"] = weights["cls_token"].flatten()
    if "pos_embed" in weights:
        weights["pos_embed"] = weights["pos_embed"].squeeze(0)
    return weights


PUBLISHED = Naming(
    publisher="CLIP",
    marks=("class_embedding", "conv1.weight", "ln_pre.weight"),
    renames=(
        Rename("conv1.weight", "patch_embed.proj.weight"),
        Rename("class_embedding", "cls_token"),
        Rename("positional_embedding", "pos_embed"),
        Rename("ln_pre.*", "norm_pre.*"),
        Rename("ln_post.*", "norm.*"),
        Rename(f"{_BLOCK}ln_#.*", "blocks.#.norm#.*"),
        Rename(f"{_BLOCK}ls_#.gamma", "blocks.#.gamma_#"),
        Rename(f"{_BLOCK}attn.in_proj_weight", "blocks.#.attn.qkv.weight"),
        Rename(f"{_BLOCK}attn.in_proj_bias", "blocks.#.attn.qkv.bias"),
        Rename(f"{_BLOCK}attn.out_proj.*", "blocks.#.attn.proj.*"),
        Rename(f"{_BLOCK}mlp.c_fc.*", "blocks.#.mlp.fc1.*"),
        Rename(f"{_BLOCK}mlp.c_proj.*", "blocks.#.mlp.fc2.*"),
    ),
    read=_read,
    write=_write,
)
ARCHIVE = replace(PUBLISHED, publisher="OpenAI", prefix=r"visual\.")
"""OpenAI's and open_clip's files, which hold a text network, too."""


def _read_hugging_face(weights: StateDict) -> StateDict:
    return _read(join_qkv(weights))


_THEIRS = "encoder.layers.#."
HUGGING_FACE = Naming(
    publisher="Hugging Face",
    prefix=r"vision_model\.",
    marks=("embeddings.class_embedding", f"{_THEIRS}layer_norm1.weight"),
    renames=(
        Rename("embeddings.class_embedding", "cls_token"),
        Rename("embeddings.patch_embedding.*", "patch_embed.proj.*"),
        Rename("embeddings.position_embedding.weight", "pos_embed"),
        Rename("pre_layrnorm.*", "norm_pre.*"),
        Rename("post_layernorm.*", "norm.*"),
        Rename(f"{_THEIRS}layer_norm#.*", "blocks.#.norm#.*"),
        Rename(f"{_THEIRS}self_attn.q_proj.*", "blocks.#.attn.q.*"),
        Rename(f"{_THEIRS}self_attn.k_proj.*", "blocks.#.attn.k.*"),
        Rename(f"{_THEIRS}self_attn.v_proj.*", "blocks.#.attn.v.*"),
        Rename(f"{_THEIRS}self_attn.out_proj.*", "blocks.#.attn.proj.*"),
        Rename(f"{_THEIRS}*", "blocks.#.*"),
    ),
    read=_read_hugging_face,
)

HUGGING_FACE_ALONE = replace(HUGGING_FACE, prefix="")
"""`CLIPVisionModel` and `SiglipVisionModel` as newer transformers save them, without text."""

UNUSED = CLASSIFIER | {
    "attn_pool.*": "pooling head", "proj": "projection to the text's space",
    "ln_post.*": "norm before pooling",
    "embeddings.position_ids": "buffer of positions",
}
CLIP = Family(
    name="CLIP",
    timm=r"^vit_.*_clip_",
    namings=(ARCHIVE, PUBLISHED, HUGGING_FACE, HUGGING_FACE_ALONE),
    published=PUBLISHED,
    marks=("cls_token", "pos_embed", "norm_pre.weight"),
    sizes={(768, 12): "ViT-B", (1024, 24): "ViT-L", (1280, 32): "ViT-H", (1664, 48): "ViT-bigG"},
    # the published network resamples positions bilinearly, its file's kernel bicubically
    resampled=KERNEL | {"pos_embed": Resampling("positions", "bilinear")},
    unused=UNUSED,
)
