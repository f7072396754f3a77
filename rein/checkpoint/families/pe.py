"""Perception Encoder (Bolya et al., arXiv:2504.13181), best in its spatial variant.

Sources of names: facebookresearch/perception_models, which names weights as OpenAI's CLIP does;
timm's Eva. Variants with a class token cannot be told from CLIP by their official names.
"""

from dataclasses import replace

from rein.checkpoint.families import clip
from rein.checkpoint.families.base import VIT, Family

_MARKS = ("conv1.weight", "positional_embedding", "transformer.resblocks.0.ln_1.weight")

PE = Family(
    name="Perception Encoder",
    timm=r"^vit_pe_",
    namings=(
        replace(clip.ARCHIVE, publisher="Meta", marks=_MARKS),
        replace(clip.PUBLISHED, publisher="Meta", marks=_MARKS),
    ),
    marks=("pos_embed", "norm_pre.weight", "!cls_token"),
    sizes={(192, 12): "T", (384, 12): "S", (768, 12): "B", (1024, 23): "L", (1024, 24): "L",
           (1536, 50): "G"},
    resampled=VIT,
    unused=clip.UNUSED,
)
