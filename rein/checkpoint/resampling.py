"""Resample a ViT's weights to other patch and image sizes.

Sources: DINOv2 (Oquab et al., arXiv:2304.07193) for the format, Rein (Wei et al.,
arXiv:2312.04265) for how published adapters' backbones were resampled.
"""

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from rein.checkpoint.families import Family, matches, recognise
from rein.checkpoint.io import StateDict
from rein.errors import UserError
from rein.values import COUNT, check_value


def is_converted(backbone: Mapping[str, Tensor]) -> bool:
    """Tell whether a backbone has been resampled; resampling it again would blur it.

    This shows only for families that are released at one patch size, such as DINOv2. Others,
    released at various patch and image sizes, count as originals.

    Args:
        backbone: Weights without prefix, under any names.
    """
    found = recognise(backbone)
    if found is None or found.family.patch is None:
        return False
    kernels = [value for name, value in backbone.items()
               if found.naming.timm_name(name) == "patch_embed.proj.weight"]
    return any(kernel.shape[-1] != found.family.patch for kernel in kernels)


def resample(image: Tensor, size: tuple[int, int], mode: str = "bicubic") -> Tensor:
    """Resample (B, C, H, W) to `size` (H, W) without antialiasing.

    Published adapters were trained on weights resampled this way; antialiasing would change them.
    """
    if tuple(image.shape[-2:]) == tuple(size):
        return image
    resampled = F.interpolate(
        image.float(), size=size, mode=mode, align_corners=False, antialias=False)
    return resampled.to(image.dtype)


def resample_pos_embed(
    pos_embed: Tensor, grid: tuple[int, int], num_prefix: int = 1, mode: str = "bicubic",
) -> Tensor:
    """Resample a square grid of position embeddings.

    Args:
        pos_embed: (1, prefix + n * n, C).
        grid: Target rows and columns.
        num_prefix: Embeddings at the front that belong to no patch.
        mode: As for `torch.nn.functional.interpolate`.

    Returns:
        (1, prefix + rows * columns, C).
    """
    prefix, patches = pos_embed[:, :num_prefix], pos_embed[:, num_prefix:]
    side = round(patches.shape[1]**0.5)
    if side * side != patches.shape[1]:
        raise ValueError(f"{patches.shape[1]} position embeddings do not form a square grid")
    image = patches.reshape(1, side, side, -1).permute(0, 3, 1, 2)
    image = resample(image, grid, mode)
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
            not a multiple of the patch size, or one of them is below 1.
    """
    for side in img_size:
        check_value("convert_dinov2", "img_size", side, COUNT)
    check_value("convert_dinov2", "patch_size", patch_size, COUNT)
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


def fit(
    weights: Mapping[str, Tensor],
    expected: Mapping[str, Tensor],
    grid: tuple[int, int],
    family: Family,
) -> StateDict:
    """Resample a backbone to the patch and image size of a network.

    Args:
        weights: Under timm's names.
        expected: The network's state dict under timm's names; only names and shapes are read.
        grid: The network's rows and columns of patches.
        family: The network's family, which says what is resampled, and how.

    Returns:
        A new dict; values that already fit are shared. Weights that do not fit for another reason
        are returned as they are; strict loading reports them.
    """
    fitted = dict(weights) if family.adapt is None else family.adapt(dict(weights), expected)
    for name, value in fitted.items():
        if name not in expected or value.shape == expected[name].shape:
            continue
        how = next((how for template, how in family.resampled.items()
                    if matches(name, (template,))), None)
        if how is not None:
            fitted[name] = _LAYOUTS[how.layout](value, expected[name].shape, grid, how.mode)
    return fitted


def _kernel(value: Tensor, shape: torch.Size, grid: tuple[int, int], mode: str) -> Tensor:
    return resample(value, tuple(shape[-2:]), mode)


def _positions(value: Tensor, shape: torch.Size, grid: tuple[int, int], mode: str) -> Tensor:
    prefix = shape[1] - grid[0] * grid[1]
    return resample_pos_embed(value, grid, prefix, mode)


def _square(value: Tensor, shape: torch.Size, grid: tuple[int, int], mode: str) -> Tensor:
    """Resample to the square of the longer side and crop at the bottom or right, as C-RADIO."""
    side = max(grid)
    square = resample_pos_embed(value, (side, side), 0, mode).unflatten(1, (side, side))
    return square[:, :grid[0], :grid[1]].flatten(1, 2)


def _map(value: Tensor, shape: torch.Size, grid: tuple[int, int], mode: str) -> Tensor:
    return resample(value.permute(0, 3, 1, 2), tuple(shape[1:3]), mode).permute(0, 2, 3, 1)


def _relative(value: Tensor, shape: torch.Size, grid: tuple[int, int], mode: str) -> Tensor:
    line = F.interpolate(value.float().T[None], size=shape[0], mode=mode)
    return line[0].T.to(value.dtype)


def _bias_table(value: Tensor, shape: torch.Size, grid: tuple[int, int], mode: str) -> Tensor:
    """Resample the table of a window; entries of the class token follow it unchanged."""
    rows, columns = 2 * grid[0] - 1, 2 * grid[1] - 1
    rest = shape[0] - rows * columns
    if rest not in (0, 3):  # a window smaller than the grid
        rows = columns = math.isqrt(shape[0])
        rest = shape[0] - rows * columns
    side = math.isqrt(len(value) - rest)
    table, tail = value.split((side * side, len(value) - side * side))
    image = resample(table.T.reshape(1, -1, side, side), (rows, columns), mode)
    return torch.cat((image[0].flatten(1).T, tail))


_LAYOUTS = {"kernel": _kernel, "positions": _positions, "square": _square, "map": _map,
            "relative": _relative, "bias_table": _bias_table}
"""Layout of a `Resampling` -> function of value, expected shape, grid and mode."""
