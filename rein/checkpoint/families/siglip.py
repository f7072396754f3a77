"""SigLIP 2 (Tschannen et al., arXiv:2502.14786) and SigLIP, at fixed resolutions.

Sources of names: Hugging Face's `SiglipVisionModel`, where the files are published; timm. Source of
the activation: Hugging Face's configs of the released models, `gelu_pytorch_tanh`.
"""

from dataclasses import replace

from rein.checkpoint.families import clip
from rein.checkpoint.families.base import VIT, Family

_MARKS = ("embeddings.position_embedding.weight", "!embeddings.class_embedding",
          "encoder.layers.0.layer_norm1.weight")

SIGLIP = Family(
    name="SigLIP",
    timm=r"^vit_.*_siglip_",
    namings=(replace(clip.HUGGING_FACE, marks=_MARKS),
             replace(clip.HUGGING_FACE_ALONE, marks=_MARKS)),
    marks=("pos_embed", "!cls_token", "!norm_pre.weight", "!blocks.0.attn.rel_pos_h",
           "!pos_embed_window", "blocks.0.attn.qkv.weight"),
    sizes={(768, 12): "B", (1024, 24): "L", (1152, 27): "So400m", (1536, 40): "g"},
    resampled=VIT,
    # big_vision trains with the tanh form of GELU; timm's older names have the exact one
    arguments={"act_layer": "gelu_tanh"},
    unused=clip.UNUSED,
)
