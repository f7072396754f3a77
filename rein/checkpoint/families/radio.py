"""C-RADIO v3 and v4 (Ranzinger et al., arXiv:2312.06709).

Sources of names: NVIDIA's files on Hugging Face (`nvidia/C-RADIOv3-*`), timm's VisionTransformer.
"""

import math

import torch

from rein.checkpoint.families.base import CLASSIFIER, KERNEL, Family, Naming, Rename, Resampling
from rein.checkpoint.io import StateDict

_KERNEL, _TOKENS = "patch_embed.proj.weight", "cls_token"


def _read(weights: StateDict) -> StateDict:
    """A linear layer of flat patches becomes timm's convolution; further tokens are registers."""
    kernel, tokens = weights[_KERNEL], weights[_TOKENS]
    side = math.isqrt(kernel.shape[1] // 3)
    weights[_KERNEL] = kernel.reshape(len(kernel), 3, side, side)
    weights["patch_embed.proj.bias"] = torch.zeros_like(kernel[:, 0])
    weights |= {"cls_token": tokens[None, :1], "reg_token": tokens[None, 1:]}
    return weights


NVIDIA = Naming(
    publisher="NVIDIA",
    prefix=r"radio_model\.model\.",
    marks=("patch_generator.embedder.weight",),
    renames=(
        Rename("patch_generator.embedder.weight", _KERNEL),
        Rename("patch_generator.pos_embed", "pos_embed"),
        Rename("patch_generator.cls_token.token", _TOKENS),
        Rename("blocks.#.ls#.grandma", "blocks.#.ls#.gamma"),
    ),
    read=_read,
)

RADIO = Family(
    name="C-RADIO",
    timm=r"^vit_.*_radio_v\d$",
    namings=(NVIDIA,),
    marks=("cls_token", "reg_token", "pos_embed"),
    fits=lambda weights: weights["reg_token"].shape[1] > 4,
    sizes={(768, 12): "B", (1024, 24): "L", (1152, 27): "So400m", (1280, 32): "H",
           (1536, 40): "g"},
    resampled=KERNEL | {"pos_embed": Resampling("square", "bilinear")},
    unused=CLASSIFIER,
)
