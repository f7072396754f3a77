"""What a weight file is: its kind, architecture and fingerprint, told from names and shapes alone.

Sources: DINOv2 (Oquab et al., arXiv:2304.07193) for the backbones' sizes.
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
"""Where `meta` of a trained checkpoint has the fingerprint of its frozen backbone."""

TRAINING_STATE = frozenset({"meta", "optimizer", "param_schedulers", "message_hub"})
"""What a file holds beside weights if training can resume from it."""

_SAMPLES = 32


class Kind(Enum):
    """What a file is for."""

    ORIGINAL = "backbone as it is downloaded"
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
        patch: Side of a patch, pixels.
        places: Places of the position grid, rows times columns; None with rotary positions only.
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
        tokens: Learnable tokens of each.
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
    """What a file holds.

    Attributes:
        kind: What it is for.
        naming: Whose names the backbone has: DINOv2, timm, Hugging Face; None without one.
        backbone: Its architecture, or None.
        adapter: Its sizes, or None.
        classes: Classes the head tells apart, or None without a Mask2Former head.
        parameters: Number of values by part: backbone, adapter, decode_head, other.
        types: Their data types.
        iteration: Of training, or None.
        trains_on: Whether training can resume from it.
        config: Whether it carries a config.
        fingerprint: Of the frozen backbone it was trained with, or None.
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
    """Tell what a file is.

    Args:
        content: As `load_file` gave it.

    Returns:
        Its identity; no value of a weight is read.
    """
    weights = state_dict_of(content)
    inner = split(weights).backbone
    alone = not inner and not any(name.startswith((HEAD, ADAPTER)) for name in weights)
    backbone = weights if alone else inner
    network = _network(_shapes_as_dinov2(backbone))
    meta = meta_of(content)
    head = weights.get(f"{HEAD}cls_embed.weight")
    return Identity(
        kind=_kind(content, weights, backbone if network else None, alone),
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
    """Tell the kind from the parts; `backbone` is None if its architecture is unknown."""
    if not weights:
        return Kind.STATE if "optimizer" in content or "state" in content else Kind.OTHER
    if alone:
        if backbone is None:
            return Kind.OTHER
        return Kind.CONVERTED if is_converted(_shapes_as_dinov2(backbone)) else Kind.ORIGINAL
    has_head = any(name.startswith(HEAD) for name in weights)
    if split(weights).backbone:  # of whatever network
        return Kind.SEGMENTOR if has_head else Kind.OTHER
    if any(name.startswith(ADAPTER) for name in weights):
        return Kind.TRAINED
    return Kind.HEAD if has_head else Kind.OTHER


def _shapes_as_dinov2(backbone: Mapping[str, Tensor]) -> StateDict:
    """A backbone under DINOv2's names, without values."""
    return to_dinov2_names({
        name: torch.empty_like(value, device="meta") for name, value in backbone.items()})


def _network(weights: StateDict) -> Network | None:
    """Read a ViT's architecture off its weights under DINOv2's names; None if it is no such."""
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


def fingerprint(backbone: Mapping[str, Tensor]) -> dict[str, Any]:
    """Identify a frozen backbone, so that its adapter can be kept from others.

    Conversion may round its two tensors differently on another machine: of these the shape and
    some values are kept, of all others the digest.

    Args:
        backbone: Frozen weights without prefix, under DINOv2's names.

    Returns:
        `digest` and `resampled`: name -> `shape` and `values`; plain values, to be saved.
    """
    backbone = dict(backbone)
    if {"cls_token", "pos_embed"} <= backbone.keys():  # only their sum acts; files split it freely
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
    """Compare the fingerprint an adapter was trained with and that of other frozen weights.

    Args:
        trained: `fingerprint` as a checkpoint has it.
        found: `fingerprint` of the weights at hand.

    Returns:
        What differs, in words; None if they are the same weights.
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
            return f"{name} was resampled in another way for training"
    return None
