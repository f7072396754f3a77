"""TIPSv2 (Maninis et al., arXiv:2410.16512): DINOv2's network with one register.

Sources of names: google/tips on Hugging Face, whose files hold a text network, too; timm.
"""

from dataclasses import replace

from rein.checkpoint.families import dinov2
from rein.checkpoint.families.base import CLASSIFIER, Family

TIPS = Family(
    name="TIPS",
    timm=r"_tips(v2)?$",
    namings=(replace(dinov2.META, publisher="TIPS", prefix=r"vision_encoder\."),),
    marks=("cls_token", "reg_token", "pos_embed", "blocks.0.ls1.gamma"),
    fits=lambda weights: weights["reg_token"].shape[1] == 1,
    sizes={(768, 12): "B", (1024, 24): "L", (1152, 27): "So400m", (1536, 40): "g"},
    unused=CLASSIFIER | dinov2.DINOV2.unused,
    patch=14,
)
