"""Plain vision transformers: MAE (He et al., arXiv:2111.06377), AugReg, DeiT and others.

Sources of names: facebookresearch/mae, timm's VisionTransformer, Hugging Face's `ViTModel` and
`ViTMAEModel`.
"""

from rein.checkpoint.families.base import CLASSIFIER, VIT, Family, Naming, Rename, join_qkv

MAE = Naming(publisher="MAE", marks=("decoder_embed.weight", "blocks.0.norm1.weight"))

_THEIRS = "encoder.layer.#."
ROWS = (
    Rename("embeddings.position_embeddings", "pos_embed"),
    Rename("embeddings.patch_embeddings.projection.*", "patch_embed.proj.*"),
    Rename("embeddings.*", "*"),
    Rename("layernorm.*", "norm.*"),
    Rename(f"{_THEIRS}layernorm_before.*", "blocks.#.norm1.*"),
    Rename(f"{_THEIRS}layernorm_after.*", "blocks.#.norm2.*"),
    Rename(f"{_THEIRS}attention.output.dense.*", "blocks.#.attn.proj.*"),
    Rename(f"{_THEIRS}attention.attention.query.*", "blocks.#.attn.q.*"),
    Rename(f"{_THEIRS}attention.attention.key.*", "blocks.#.attn.k.*"),
    Rename(f"{_THEIRS}attention.attention.value.*", "blocks.#.attn.v.*"),
    Rename(f"{_THEIRS}intermediate.dense.*", "blocks.#.mlp.fc1.*"),
    Rename(f"{_THEIRS}output.dense.*", "blocks.#.mlp.fc2.*"),
)
"""Hugging Face's names of a plain transformer; BEiT shares them."""

HUGGING_FACE = Naming(
    publisher="Hugging Face",
    prefix=r"(vit\.)?",
    marks=("embeddings.cls_token", "encoder.layer.0.layernorm_before.weight",
           "!encoder.layer.0.lambda_1"),
    renames=ROWS,
    read=join_qkv,
)

PLAIN = Family(
    name="ViT",
    timm=r"^(vit|deit|deit3)_",
    namings=(MAE, HUGGING_FACE),
    marks=("patch_embed.proj.weight", "blocks.0.norm1.weight"),
    sizes={(192, 12): "ViT-Ti", (384, 12): "ViT-S", (768, 12): "ViT-B", (1024, 24): "ViT-L",
           (1280, 32): "ViT-H"},
    resampled=VIT,
    unused=CLASSIFIER | {
        "mask_token": "replaces masked patches in pretraining; nothing else reads it",
        "decoder_*": "decoder of the pretraining", "decoder.*": "decoder of the pretraining",
        "pooler.*": "pooling head", "classifier.*": "classifier",
    },
)
