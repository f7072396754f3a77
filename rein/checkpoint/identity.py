"""Identify weight files: kind and architecture by names and shapes, digest and fingerprint.

Sources: DINOv2 (Oquab et al., arXiv:2304.07193) for the sizes of backbones.
"""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import torch
from torch import Tensor

from rein.checkpoint.io import StateDict, meta_of, state_dict_of
from rein.checkpoint.names import naming, to_dinov2_names
from rein.checkpoint.parts import ADAPTER, BACKBONE, HEAD, split
from rein.checkpoint.resampling import RESAMPLED, is_converted

ARCHITECTURES = {(384, 12): "ViT-S", (768, 12): "ViT-B", (1024, 24): "ViT-L", (1536, 40): "ViT-g"}
"""(width, blocks) of the released DINOv2 networks."""

FINGERPRINT = "frozen_backbone"
"""Key in the `meta` of a trained checkpoint: the fingerprint of its frozen backbone."""

TRAINING_STATE = frozenset({"meta", "optimizer", "message_hub"})
"""Keys that a file needs beside its weights for training to resume from it.

Runs with a schedule of the learning rate also need `param_schedulers`.
"""

_SAMPLES = 32


class Kind(Enum):
    """Kinds of weight files."""

    ORIGINAL = "backbone as downloaded"
    CONVERTED = "converted backbone"
    TRAINED = "adapter and head"
    HEAD = "decode head"
    SEGMENTOR = "full segmentor"
    STATE = "optimizer state without weights"
    OTHER = "other weights"


@dataclass(frozen=True)
class Network:
    """A backbone's architecture.

    Attributes:
        width: Channels.
        depth: Blocks.
        patch: Patch side, pixels.
        places: Rows times columns of the position grid; None with rotary positions only.
        registers: Register tokens.
        gated: Whether its feed-forward layers are gated (ViT-g, EVA02, DINOv3-H+).
    """

    width: int
    depth: int
    patch: int
    places: int | None
    registers: int
    gated: bool

    def __str__(self) -> str:
        name = ARCHITECTURES.get((self.width, self.depth), "ViT")
        words = [f"{name}/{self.patch}", f"width {self.width}", f"{self.depth} blocks",
                 _grid_text(self.places)]
        if self.registers:
            words.append(f"{self.registers} registers")
        if self.gated:
            words.append("gated feed-forward")
        return ", ".join(words)


def _grid_text(places: int | None) -> str:
    if places is None:
        return "rotary positions"
    side = math.isqrt(places)
    return f"position grid {side}x{side}" if side * side == places else (
        f"position grid of {places} places")


@dataclass(frozen=True)
class Adapter:
    """A Rein adapter's sizes.

    Attributes:
        layers: Blocks it refines.
        tokens: Learnable tokens per block.
        width: Channels of the features.
        rank: Rank of the tokens (`LoRAReins`), or None (`Reins`).
    """

    layers: int
    tokens: int
    width: int
    rank: int | None

    def __str__(self) -> str:
        name = "Reins" if self.rank is None else f"LoRAReins of rank {self.rank}"
        return f"{name}, {self.tokens} tokens for each of {self.layers} blocks, width {self.width}"


@dataclass(frozen=True)
class Identity:
    """A weight file's identity.

    Attributes:
        kind: Kind of file.
        naming: Origin of the backbone's names: DINOv2, timm, Hugging Face; None without a backbone.
        backbone: The backbone's architecture, or None.
        adapter: The adapter's sizes, or None.
        classes: Classes of the Mask2Former head, or None without one.
        parameters: Number of values by part: backbone, adapter, decode_head, other.
        types: Data types of the weights.
        iteration: Training iteration, or None.
        trains_on: Whether training can resume from the file.
        config: Whether the file carries a config.
        fingerprint: Fingerprint of the frozen backbone used in training, or None.
    """

    kind: Kind
    naming: str | None
    backbone: Network | None
    adapter: Adapter | None
    classes: int | None
    parameters: dict[str, int]
    types: tuple[str, ...]
    iteration: int | None
    trains_on: bool
    config: bool
    fingerprint: dict | None


def identify(content: Mapping[str, Any]) -> Identity:
    """Identify a file.

    Args:
        content: As returned by `load_file`.

    Returns:
        Its identity; the weights' values are not read.
    """
    weights = state_dict_of(content)
    inner = split(weights).backbone
    alone = not inner and not any(name.startswith((HEAD, ADAPTER)) for name in weights)
    backbone = weights if alone else inner
    shapes = _shapes_as_dinov2(backbone)
    network = _network(shapes)
    meta = meta_of(content)
    head = weights.get(f"{HEAD}cls_embed.weight")
    return Identity(
        kind=_kind(content, weights, shapes if network else None, alone),
        naming=naming(backbone) if network else None,
        backbone=network,
        adapter=_adapter(weights),
        classes=None if head is None else head.shape[0] - 1,  # the last one is "no object"
        parameters=_parameters(weights, alone and network is not None),
        types=tuple(sorted({str(v.dtype).removeprefix("torch.") for v in weights.values()})),
        iteration=meta.get("iter"),
        trains_on=TRAINING_STATE <= content.keys(),
        config=bool(meta.get("cfg")),
        fingerprint=meta.get(FINGERPRINT),
    )


def _kind(
    content: Mapping, weights: StateDict, backbone: StateDict | None, alone: bool,
) -> Kind:
    """Infer the kind from the parts; `backbone` is None if its architecture is unknown."""
    if not weights:
        return Kind.STATE if "optimizer" in content or "state" in content else Kind.OTHER
    if alone:
        if backbone is None:
            return Kind.OTHER
        return Kind.CONVERTED if is_converted(backbone) else Kind.ORIGINAL
    has_head = any(name.startswith(HEAD) for name in weights)
    if any(not name.endswith("bias") for name in split(weights).backbone):  # of any architecture
        return Kind.SEGMENTOR if has_head else Kind.OTHER
    if any(name.startswith(ADAPTER) for name in weights):
        return Kind.TRAINED
    return Kind.HEAD if has_head else Kind.OTHER


def _shapes_as_dinov2(backbone: Mapping[str, Tensor]) -> StateDict:
    """Return a backbone under DINOv2's names, without values."""
    return to_dinov2_names({
        name: torch.empty_like(value, device="meta") for name, value in backbone.items()})


def _network(weights: StateDict) -> Network | None:
    """Infer a ViT's architecture from weights under DINOv2's names; None for other networks."""
    if not {"patch_embed.proj.weight", "blocks.0.norm1.weight"} <= weights.keys():
        return None
    kernel, positions = weights["patch_embed.proj.weight"], weights.get("pos_embed")
    blocks = {name.split(".")[1] for name in weights if name.startswith("blocks.")}
    registers = weights.get("register_tokens")
    return Network(
        width=kernel.shape[0],
        depth=len(blocks),
        patch=kernel.shape[-1],
        places=None if positions is None else positions.shape[1] - ("cls_token" in weights),
        registers=0 if registers is None else registers.shape[1],
        gated=not weights.keys().isdisjoint(
            f"blocks.0.mlp.{name}.weight" for name in ("w12", "fc1_g")))


def _adapter(weights: StateDict) -> Adapter | None:
    full, low = (weights.get(f"{ADAPTER}learnable_tokens{x}") for x in ("", "_a"))
    if full is not None:
        return Adapter(*full.shape, rank=None)
    if low is None:
        return None
    layers, tokens, rank = low.shape
    return Adapter(layers, tokens, weights[f"{ADAPTER}learnable_tokens_b"].shape[-1], rank)


def _parameters(weights: StateDict, is_backbone: bool) -> dict[str, int]:
    """Count values by part."""
    counts: dict[str, int] = {}
    for name, value in weights.items():
        if name.startswith(ADAPTER):
            part = "adapter"
        elif is_backbone or name.startswith(BACKBONE):
            part = "backbone"
        else:
            part = "decode_head" if name.startswith(HEAD) else "other"
        counts[part] = counts.get(part, 0) + value.numel()
    return counts


def digest(state_dict: Mapping[str, Tensor]) -> str:
    """Compute the SHA-256 of weights: names, shapes and values as float32, in order of names.

    It does not depend on the stored data type or on the device.

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


def fingerprint(backbone: Mapping[str, Tensor]) -> dict[str, Any]:
    """Fingerprint a frozen backbone, so that its adapter is not used with another one.

    Another machine may round the two converted tensors differently: the fingerprint has the shape
    and some values of these, and the digest of all others.

    Args:
        backbone: Frozen weights without prefix, under DINOv2's names.

    Returns:
        `digest`, and `resampled`: name -> `shape` and `values`; all plain values that can be saved.
    """
    backbone = dict(backbone)
    if {"cls_token", "pos_embed"} <= backbone.keys():  # only their sum matters; files may split it
        position = backbone["pos_embed"].detach().float()
        backbone["cls_token"] = backbone["cls_token"].detach().float() + position[:, :1]
        backbone["pos_embed"] = position[:, 1:]
    exact = {n: v for n, v in backbone.items() if n not in (*RESAMPLED, "mask_token")}
    resampled = {}
    for name in RESAMPLED:
        if name in backbone:
            value = backbone[name].detach()
            places = torch.linspace(0, value.numel() - 1, _SAMPLES, dtype=torch.float64).long()
            resampled[name] = dict(
                shape=list(value.shape), values=value.flatten()[places].float().tolist())
    return dict(digest=digest(exact), resampled=resampled)


def fingerprint_difference(trained: Mapping[str, Any], found: Mapping[str, Any]) -> str | None:
    """Compare the fingerprint of an adapter's training with that of other frozen weights.

    Args:
        trained: `fingerprint` stored in the checkpoint.
        found: `fingerprint` of the other weights.

    Returns:
        The difference in words; None if the weights are the same.
    """
    if trained["digest"] != found["digest"]:
        return (f"it was trained with weights {trained['digest'][:12]}, these are "
                f"{found['digest'][:12]}")
    for name, was in trained["resampled"].items():
        now = found["resampled"].get(name)
        if now is None or list(now["shape"]) != list(was["shape"]):
            shape = "missing" if now is None else tuple(now["shape"])
            return f"{name} was {tuple(was['shape'])} in training and is {shape}"
        was, now = torch.tensor(was["values"]), torch.tensor(now["values"])
        if not torch.allclose(was, now, rtol=1e-3, atol=1e-5):
            return f"{name} was resampled differently for training"
    return None
