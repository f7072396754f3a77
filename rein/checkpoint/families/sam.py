"""Segment Anything (Kirillov et al., arXiv:2304.02643) and SAM 2 (Ravi et al., arXiv:2408.00714).

Sources of names: facebookresearch/segment-anything and sam2; timm's VisionTransformerSAM and
HieraDet; Hugging Face's `SamModel` and `Sam2Model`.
"""

from rein.checkpoint.families.base import CLASSIFIER, KERNEL, Family, Naming, Rename, Resampling

META = Naming(
    publisher="Meta",
    prefix=r"image_encoder\.",
    marks=("pos_embed", "blocks.0.attn.rel_pos_h"),
    renames=(Rename("blocks.#.mlp.lin#.*", "blocks.#.mlp.fc#.*"),),
)
HUGGING_FACE = Naming(
    publisher="Hugging Face",
    prefix=r"vision_encoder\.",
    marks=("pos_embed", "layers.0.attn.rel_pos_h"),
    renames=(
        Rename("patch_embed.projection.*", "patch_embed.proj.*"),
        Rename("layers.#.layer_norm#.*", "blocks.#.norm#.*"),
        Rename("layers.#.mlp.lin#.*", "blocks.#.mlp.fc#.*"),
        Rename("layers.#.*", "blocks.#.*"),
    ),
)
SAM = Family(
    name="SAM",
    timm=r"^samvit_",
    namings=(META, HUGGING_FACE),
    marks=("pos_embed", "blocks.0.attn.rel_pos_h"),
    sizes={(768, 12): "ViT-B", (1024, 24): "ViT-L", (1280, 32): "ViT-H"},
    resampled=KERNEL | {
        "pos_embed": Resampling("map"),
        # SAM itself interpolates relative positions linearly
        "blocks.#.attn.rel_pos_h": Resampling("relative", "linear"),
        "blocks.#.attn.rel_pos_w": Resampling("relative", "linear"),
    },
    positions="relative",
    unused=CLASSIFIER | {"neck.*": "the mask decoder's input; the maps are taken before it"},
)

META_HIERA = Naming(
    publisher="Meta",
    prefix=r"image_encoder\.trunk\.",
    marks=("pos_embed_window",),
    renames=(
        Rename("blocks.#.mlp.layers.0.*", "blocks.#.mlp.fc1.*"),
        Rename("blocks.#.mlp.layers.1.*", "blocks.#.mlp.fc2.*"),
    ),
)
HUGGING_FACE_HIERA = Naming(
    publisher="Hugging Face",
    prefix=r"vision_encoder\.backbone\.",
    marks=("pos_embed_window",),
    renames=(
        Rename("patch_embed.projection.*", "patch_embed.proj.*"),
        Rename("blocks.#.layer_norm#.*", "blocks.#.norm#.*"),
        Rename("blocks.#.mlp.proj_in.*", "blocks.#.mlp.fc1.*"),
        Rename("blocks.#.mlp.proj_out.*", "blocks.#.mlp.fc2.*"),
    ),
)
HIERA = Family(
    name="SAM 2 Hiera",
    timm=r"^(sam2_hiera|hieradet)_",
    namings=(META_HIERA, HUGGING_FACE_HIERA),
    marks=("pos_embed_window",),
    stages="blocks.#.mlp.fc2.weight",
    sizes={(768, 12): "T", (768, 16): "S", (896, 24): "B+", (1152, 48): "L"},
    resampled={},  # positions are interpolated in every forward pass, as published
)
