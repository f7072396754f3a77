"""Rename a backbone's parameters between memory and checkpoints, in both directions.

In memory, a backbone holds `model` (timm's network) and `reins` (the adapter). Checkpoints use the
names of DINOv2 and the published Rein project: no `model.` prefix, and DINOv2's names where timm's
differ.
"""

from collections.abc import MutableMapping

import torch
from torch import Tensor, nn

from rein.checkpoint import EXTRA_BACKBONE_KEYS
from rein.checkpoint.names import GATED_NAMES, REGISTER_NAMES, is_packed_gated, rename

IN_MEMORY = "model."
ADAPTER = "reins."


def _renames(model: nn.Module) -> tuple[tuple[str, str], ...]:
    """Return the renames for a network: registers, and gated layers if packed."""
    mlp = getattr(model.blocks[0], "mlp", None) if hasattr(model, "blocks") else None
    layers = (getattr(mlp, name, None) for name in ("fc1", "fc2"))
    packed = is_packed_gated(*(getattr(layer, "weight", None) for layer in layers))
    return (GATED_NAMES if packed else ()) + REGISTER_NAMES


def _has_separate_class_position(model: nn.Module) -> bool:
    """Tell whether timm keeps the class token's position in the token itself (registers)."""
    return getattr(model, "no_embed_class", False) and getattr(model, "cls_token", None) is not None


def to_published(
    module: nn.Module, state_dict: MutableMapping[str, Tensor], prefix: str, metadata: dict,
) -> None:
    """Rename a backbone's new state dict to published names, in place (a post-hook)."""
    inner = prefix + IN_MEMORY
    renames = _renames(module.model)
    for name in [name for name in state_dict if name.startswith(inner)]:
        value = state_dict.pop(name)
        name = rename(name.removeprefix(inner), renames)
        if name == "pos_embed" and _has_separate_class_position(module.model):
            # the class token already includes its position, so the file stores zeros for it
            padded = torch.cat((torch.zeros_like(value[:, :1]), value), dim=1)
            value = nn.Parameter(padded.detach(), value.requires_grad)
        state_dict[prefix + name] = value


def from_published(
    module: nn.Module, state_dict: MutableMapping[str, Tensor], prefix: str, *unused,
) -> None:
    """Rename a file's entries to the names in memory, in place (a load pre-hook)."""
    renames = tuple((published, ours) for ours, published in _renames(module.model))
    for name in [name for name in state_dict if name.startswith(prefix)]:
        short = name.removeprefix(prefix)
        if short.startswith((ADAPTER, IN_MEMORY)):
            continue
        value = state_dict.pop(name)
        if short in EXTRA_BACKBONE_KEYS:
            continue
        state_dict[prefix + IN_MEMORY + rename(short, renames)] = value
    _move_class_position(module.model, state_dict, prefix + IN_MEMORY)


def _move_class_position(model: nn.Module, state_dict: MutableMapping, inner: str) -> None:
    """Move the class token's position into the token if timm keeps it there."""
    position, token = state_dict.get(inner + "pos_embed"), state_dict.get(inner + "cls_token")
    if not _has_separate_class_position(model) or position is None or token is None:
        return
    state_dict[inner + "cls_token"] = token + position[:, :1]
    state_dict[inner + "pos_embed"] = position[:, 1:]
