"""Weights as dicts: safe loading, resampling, merging, splitting, verifying and atomic saving.

Everything here is a pure function on state dicts whose keys are the published parameter names
(`backbone.blocks.*`, `backbone.reins.*`, `decode_head.*`; a backbone file has no prefix). Nothing
in a file is ever executed: pickles are read by torch's restricted unpickler with the allow-list
below.

Sources: DINOv2 (Oquab et al., arXiv:2304.07193) for the backbone's format, Rein (Wei et al.,
arXiv:2312.04265) for the resampling and for the parts that are saved.
"""

import hashlib
import os
import re
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.logging.history_buffer import HistoryBuffer
from torch import Tensor, nn

from rein.errors import UserError

StateDict = dict[str, Tensor]

BACKBONE = "backbone."
ADAPTER = "backbone.reins."

EXTRA_BACKBONE_KEYS = {
    "mask_token": "replaces masked patches in DINOv2's pretraining; nothing else reads it",
}
"""Backbone keys a file may have although no model here has them, and why."""

_REFUSED = re.compile(r"unsupported (global|class|operand)|not allowed", re.IGNORECASE)

CONVERT_COMMAND = "python tools/convert_models/convert_dinov2.py"


# ---------------------------------------------------------------------------------- safe loading
def _statistics_method(owner: type, name: str):
    """Stand for `getattr` in pickles: gives HistoryBuffer's own statistics, and nothing else."""
    if owner is not HistoryBuffer or name not in ("min", "max", "current", "mean"):
        raise UnpicklingError(f"getattr({owner!r}, {name!r}) is not allowed in a checkpoint")
    return getattr(owner, name)


def _safe_globals() -> list:
    """List what a checkpoint may contain besides tensors and plain containers.

    mmengine's message hub stores loss histories as `HistoryBuffer`s of NumPy arrays.
    """
    reconstruct = np.empty(0).__reduce__()[0]
    scalar = np.float64(0).__reduce__()[0]
    dtypes = {type(np.dtype(t)) for t in (np.bool_, np.int32, np.int64, np.float32, np.float64)}
    return [
        HistoryBuffer, (_statistics_method, "builtins.getattr"), np.ndarray, np.dtype, *dtypes,
        reconstruct, (reconstruct, "numpy.core.multiarray._reconstruct"),
        (reconstruct, "numpy._core.multiarray._reconstruct"),
        (scalar, "numpy.core.multiarray.scalar"), (scalar, "numpy._core.multiarray.scalar"),
    ]


def load_file(path: str | Path, map_location: Any = "cpu") -> dict[str, Any]:
    """Read a `.pth` or `.safetensors` file without executing anything in it.

    Args:
        path: The file.
        map_location: Where its tensors go, as for `torch.load`.

    Returns:
        The file's content, usually a state dict or a dict with `state_dict` and `meta`.

    Raises:
        UserError: The file is missing, is not a checkpoint, is damaged, or holds objects that
            could run code.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file. {how_to_get(path)}")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file as load_safetensors
            return load_safetensors(path, device=str(torch.device(map_location)))
        with torch.serialization.safe_globals(_safe_globals()):
            content = torch.load(path, map_location=map_location, weights_only=True)
    except UnpicklingError as error:
        refused = [line for line in str(error).splitlines() if _REFUSED.search(line)]
        if refused:
            raise UserError(
                f"{path}: refused, because it holds objects that could run code, not only "
                f"weights ({refused[0].strip()[:120]}). Ask for a file of plain tensors."
            ) from None
        raise UserError(f"{path}: not a checkpoint, or damaged. Download or make it again."
                        ) from None
    except Exception as error:  # truncated zip archives fail in many ways
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"{path}: not a checkpoint, or damaged ({reason}). Download or make it again."
        ) from None
    if not isinstance(content, Mapping):
        raise UserError(f"{path}: holds a {type(content).__name__}, expected a dict of tensors.")
    return content


def how_to_get(path: Path) -> str:
    """Say how a file of the published folder tree comes about."""
    name = path.name
    if "converted" in name:
        size = " --img-size 1024" if "1024" in name else ""
        return (f"Make it with `{CONVERT_COMMAND} checkpoints/dinov2_vitl14_pretrain.pth "
                f"{path}{size}`.")
    if name.startswith("dinov2_") and name.endswith("_pretrain.pth"):
        model = name.removesuffix("_pretrain.pth")
        folder = model.removesuffix("_reg4")
        return ("Download it from https://dl.fbaipublicfiles.com/dinov2/"
                f"{folder}/{name} to {path.parent}.")
    if "segmentor" in name:
        return "Make it with tools/generate_full_weights.py."
    return "Check the path."


def state_dict_of(content: Mapping[str, Any]) -> StateDict:
    """Return the weights in a file's content, wherever its project put them."""
    for key in ("state_dict", "model", "teacher"):
        if isinstance(content.get(key), Mapping):
            content = content[key]
    return {
        name.removeprefix("module."): value
        for name, value in content.items() if isinstance(value, Tensor)
    }


# ------------------------------------------------------------------------------------ resampling
def resample(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Resample (B, C, H, W) to `size` (H, W), bicubic without antialiasing.

    Published adapters were trained on weights resampled so; antialiasing would change them.
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
        grid: Rows and columns wanted.
        num_prefix: Embeddings at the front that belong to no patch.

    Returns:
        (1, prefix + rows * columns, C).
    """
    prefix, patches = pos_embed[:, :num_prefix], pos_embed[:, num_prefix:]
    side = round(patches.shape[1]**0.5)
    if side * side != patches.shape[1]:
        raise ValueError(f"{patches.shape[1]} position embeddings are no square grid")
    image = patches.reshape(1, side, side, -1).permute(0, 3, 1, 2)
    image = resample(image, grid)
    return torch.cat((prefix, image.flatten(2).transpose(1, 2)), dim=1)


def convert_dinov2(
    state_dict: Mapping[str, Tensor],
    img_size: tuple[int, int] = (512, 512),
    patch_size: int = 16,
) -> StateDict:
    """Resample a DINOv2 backbone to another patch size and image size.

    Args:
        state_dict: A backbone in DINOv2's format; shapes are read from it.
        img_size: Height and width in pixels, multiples of `patch_size`.
        patch_size: Side of a patch in pixels.

    Returns:
        A new state dict, the same but for `patch_embed.proj.weight` and `pos_embed`.

    Raises:
        UserError: The weights are no DINOv2 backbone or the size is no multiple of the patch.
    """
    missing = {"pos_embed", "cls_token", "patch_embed.proj.weight"} - set(state_dict)
    if missing:
        raise UserError(
            f"not a DINOv2 backbone: {', '.join(sorted(missing))} missing among its "
            f"{len(state_dict)} entries.")
    height, width = img_size
    if height % patch_size or width % patch_size:
        raise UserError(f"image size {height}x{width} is no multiple of patch size {patch_size}.")
    converted = dict(state_dict)
    converted["patch_embed.proj.weight"] = resample(
        state_dict["patch_embed.proj.weight"], (patch_size, patch_size))
    converted["pos_embed"] = resample_pos_embed(
        state_dict["pos_embed"], (height // patch_size, width // patch_size))
    return converted


# ----------------------------------------------------------------------------- parts of a model
def merge(backbone: Mapping[str, Tensor], rein_and_head: Mapping[str, Tensor]) -> StateDict:
    """Put a converted backbone and the trained parts together to a full segmentor.

    Args:
        backbone: Without prefix, as the converter writes it.
        rein_and_head: `backbone.reins.*` and `decode_head.*`, as training saves them.

    Returns:
        Every weight of the segmentor under its published name.
    """
    frozen = {BACKBONE + name: value for name, value in backbone.items()}
    both = sorted(set(frozen) & set(rein_and_head))
    if both:
        raise UserError(
            f"{len(both)} weights are in the backbone and in the trained parts alike, such as "
            f"{both[0]}: this checkpoint is complete already, or was trained with the backbone.")
    return {**frozen, **rein_and_head}


class Parts(NamedTuple):
    """A full segmentor taken apart: what `merge` put together."""

    backbone: StateDict
    rein_and_head: StateDict


def split(segmentor: Mapping[str, Tensor]) -> Parts:
    """Take a full segmentor apart; the inverse of `merge`."""
    backbone, rest = {}, {}
    for name, value in segmentor.items():
        if name.startswith(BACKBONE) and not name.startswith(ADAPTER):
            backbone[name.removeprefix(BACKBONE)] = value
        else:
            rest[name] = value
    return Parts(backbone, rest)


# ------------------------------------------------------------------------------------- verifying
def check_fits(
    expected: Mapping[str, Tensor],
    state_dict: Mapping[str, Tensor],
    source: str | Path,
    may_miss: Collection[str] = (),
) -> None:
    """Raise if weights are not exactly what a model expects.

    Args:
        expected: The model's own state dict; only names and shapes are read.
        state_dict: Weights under published names.
        source: The file, for messages.
        may_miss: Keys that the model has and the file need not have, such as frozen weights that
            are loaded from elsewhere.

    Raises:
        UserError: A key is missing or unexpected, or a shape differs.
    """
    extra = {prefix + name for name in EXTRA_BACKBONE_KEYS for prefix in ("", BACKBONE)}
    missing = sorted(set(expected) - set(state_dict) - set(may_miss))
    unexpected = sorted(set(state_dict) - set(expected) - extra)
    shapes = {
        name: (tuple(value.shape), tuple(expected[name].shape))
        for name, value in sorted(state_dict.items())
        if name in expected and value.shape != expected[name].shape
    }
    if missing or unexpected or shapes:
        raise UserError(_misfit(source, missing, unexpected, shapes, state_dict))


def load_strictly(
    module: nn.Module,
    state_dict: Mapping[str, Tensor],
    source: str | Path,
    may_miss: Collection[str] = (),
) -> None:
    """Load weights that fit exactly, or raise as `check_fits` does and leave the module as it was.

    Args:
        module: A model, or a backbone for weights without prefix.
        state_dict: As for `check_fits`.
        source: As for `check_fits`.
        may_miss: As for `check_fits`.
    """
    check_fits(module.state_dict(), state_dict, source, may_miss)
    module.load_state_dict(state_dict, strict=False)  # what may be missing or extra is checked


def _misfit(source, missing, unexpected, shapes, state_dict) -> str:
    """Compose the message of weights that do not fit: the likely cause first, then the keys."""
    parts = [f"{source}: these weights do not fit the model. {_cause(missing, shapes, state_dict)}"]
    for name, (found, wanted) in list(shapes.items())[:3]:
        parts.append(f"{name} is {found}, expected {wanted};")
    for what, names in (("missing", missing), ("unexpected", unexpected)):
        if names:
            shown = ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
            parts.append(f"{len(names)} {what}: {shown};")
    return " ".join(parts).rstrip(";") + "."


def _cause(missing, shapes, state_dict) -> str:
    """Guess why weights do not fit, and say what mends it."""
    suffixes = {name.removeprefix(BACKBONE): sizes for name, sizes in shapes.items()}
    if any(name.startswith(("blocks.0.norm1", "backbone.blocks.0.norm1")) for name in shapes):
        found, wanted = next(
            sizes for name, sizes in suffixes.items() if name.startswith("blocks.0.norm1"))
        return f"They are of a network of width {found[0]}, the config's has width {wanted[0]}."
    if "patch_embed.proj.weight" in suffixes:
        found, wanted = suffixes["patch_embed.proj.weight"]
        return (f"They have patch size {found[-1]}, the config's model has {wanted[-1]}: convert "
                f"them with `{CONVERT_COMMAND} SRC OUT --patch-size {wanted[-1]}`.")
    if "pos_embed" in suffixes:
        found, wanted = suffixes["pos_embed"]
        return (f"Their position grid has {found[1] - 1} places, the config's {wanted[1] - 1}: "
                f"convert the original file with `{CONVERT_COMMAND} SRC OUT --img-size SIZE`.")
    if missing and all(not name.startswith(BACKBONE) for name in state_dict) and any(
            name.startswith("blocks.") for name in state_dict):
        return "This is a backbone alone, not a trained segmentor or adapter."
    if any(name.startswith("backbone.blocks.") for name in missing):
        return "The frozen backbone is not in this file: give it with --backbone."
    if any(name.startswith("decode_head.") for name in state_dict) and any(
            not name.startswith(("backbone.", "decode_head.")) for name in missing):
        return "This is a trained adapter and head, not a backbone."
    return "They belong to another architecture."


# ----------------------------------------------------------------------------------- identifying
def digest(state_dict: Mapping[str, Tensor]) -> str:
    """Compute the SHA-256 of weights: of names, shapes and values as float32, in order of names.

    The type a file keeps its numbers in does not matter, nor where they lie.

    Args:
        state_dict: Weights under published names.

    Returns:
        64 hexadecimal digits; reports show the first 12.
    """
    total = hashlib.sha256()
    for name in sorted(state_dict):
        value = state_dict[name].detach().cpu().float().contiguous()
        total.update(f"{name}{tuple(value.shape)}".encode())
        total.update(value.numpy())
    return total.hexdigest()


# ---------------------------------------------------------------------------------------- saving
def save_file(content: Mapping[str, Any], path: str | Path) -> Path:
    """Write a checkpoint beside its target and rename it: no half-written file is ever seen.

    Args:
        content: What `load_file` shall return; flat dicts of tensors for `.safetensors`.
        path: The target; an existing file is replaced at once.

    Returns:
        The path.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}.") from None
    os.close(handle)
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import save_file as save_safetensors
            save_safetensors({k: v.contiguous() for k, v in content.items()}, temporary)
        else:
            torch.save(content, temporary)
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
        raise UserError(f"{path}: cannot be written: {error}") from None
    finally:
        Path(temporary).unlink(missing_ok=True)
    return path


def _umask() -> int:
    """Return the process's file creation mask (mkstemp ignores it)."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
