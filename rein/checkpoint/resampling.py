"""Resample a ViT's weights to other patch and image sizes.

Sources: DINOv2 (Oquab et al., arXiv:2304.07193) for the format, Rein (Wei et al.,
arXiv:2312.04265) for how published adapters' backbones were resampled.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from rein.checkpoint.io import StateDict
from rein.errors import UserError

RESAMPLED = ("patch_embed.proj.weight", "pos_embed")
"""Weights of a backbone that a conversion changes."""

DINOV2_PATCH = 14
"""Patch size, in pixels, of every released DINOv2."""


def is_converted(backbone: Mapping[str, Tensor]) -> bool:
    """Tell whether a backbone has been resampled; resampling it again would blur it.

    This shows only for DINOv2, which is released at patch 14 only. Other networks, released at
    various patch and image sizes, count as originals.

    Args:
        backbone: Weights without prefix, under DINOv2's names.
    """
    is_dinov2 = {"cls_token", "pos_embed", "blocks.0.ls1.gamma"} <= backbone.keys()
    return is_dinov2 and backbone["patch_embed.proj.weight"].shape[-1] != DINOV2_PATCH


def resample(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Resample (B, C, H, W) to `size` (H, W), bicubic without antialiasing.

    Published adapters were trained on weights resampled this way; antialiasing would change them.
    """
    if tuple(image.shape[-2:]) == tuple(size):
        return image
    resampled = F.interpolate(
        image.float(), size=size, mode="bicubic", align_corners=False, antialias=False)
    return resampled.to(image.dtype)


def resample_pos_embed(pos_embed: Tensor, grid: tuple[int, int], num_prefix: int = 1) -> Tensor:
    """Resample a square grid of position embeddings.

    Args:
        pos_embed: (1, prefix + n * n, C).
        grid: Target rows and columns.
        num_prefix: Embeddings at the front that belong to no patch.

    Returns:
        (1, prefix + rows * columns, C).
    """
    prefix, patches = pos_embed[:, :num_prefix], pos_embed[:, num_prefix:]
    side = round(patches.shape[1]**0.5)
    if side * side != patches.shape[1]:
        raise ValueError(f"{patches.shape[1]} position embeddings do not form a square grid")
    image = patches.reshape(1, side, side, -1).permute(0, 3, 1, 2)
    image = resample(image, grid)
    return torch.cat((prefix, image.flatten(2).transpose(1, 2)), dim=1)


def convert_dinov2(
    state_dict: Mapping[str, Tensor],
    img_size: tuple[int, int] = (512, 512),
    patch_size: int = 16,
) -> StateDict:
    """Resample a backbone to another patch size and image size.

    Args:
        state_dict: Released weights of DINOv2, or of another vision transformer with absolute
            positions and a class token, under DINOv2's names; shapes are read from it.
        img_size: Height and width in pixels, multiples of `patch_size`.
        patch_size: Side of a patch in pixels.

    Returns:
        A new state dict; only `patch_embed.proj.weight` and `pos_embed` differ.

    Raises:
        UserError: The weights are not such a backbone, or already converted, or the image size is
            not a multiple of the patch size.
    """
    missing = {"pos_embed", "cls_token", "patch_embed.proj.weight"} - set(state_dict)
    if missing:
        raise UserError(
            f"not a DINOv2 backbone: its {len(state_dict)} entries lack "
            f"{', '.join(sorted(missing))}.")
    if is_converted(state_dict):
        found = state_dict["patch_embed.proj.weight"].shape[-1]
        raise UserError(
            f"already converted, to patch size {found}; resampling twice would blur it. Convert "
            "the downloaded file instead.")
    height, width = img_size
    if height % patch_size or width % patch_size:
        raise UserError(
            f"image size {height}x{width} is not a multiple of patch size {patch_size}.")
    converted = dict(state_dict)
    converted["patch_embed.proj.weight"] = resample(
        state_dict["patch_embed.proj.weight"], (patch_size, patch_size))
    converted["pos_embed"] = resample_pos_embed(
        state_dict["pos_embed"], (height // patch_size, width // patch_size))
    return converted
