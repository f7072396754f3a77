"""Identify weight files: kind and architecture by names and shapes, digest and fingerprint."""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from itertools import groupby
from typing import Any

import torch
from torch import Tensor

from rein.checkpoint.families import Family, matches, recognise, wildcards
from rein.checkpoint.families.base import is_packed_gated
from rein.checkpoint.io import FINGERPRINT, StateDict, meta_of, state_dict_of
from rein.checkpoint.parts import ADAPTER, BACKBONE, HEAD, split, without_prefix

CONVERTED = "converted_backbone"
"""Key in the `meta` of a converted backbone: `model` and `size`."""

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
        family: Its family, as shown to users.
        size: Name of the released network of this width and depth, or "ViT".
        width: Channels, of the last block.
        depth: Blocks.
        stages: Blocks and width of each stage; empty for a plain transformer.
        patch: Patch side, pixels; None without patches.
        places: Rows times columns of the position grid; None without absolute positions.
        positions: Kind of the other positions, rotary or relative.
        registers: Register tokens.
        gated: Whether its feed-forward layers are gated (ViT-g, EVA02, DINOv3-H+).
    """

    family: str
    size: str
    width: int
    depth: int
    stages: tuple[tuple[int, int], ...]
    patch: int | None
    places: int | None
    positions: str
    registers: int
    gated: bool

    def __str__(self) -> str:
        family = "" if self.size.startswith(self.family) else f"{self.family} "
        if self.stages:
            depths, widths = ("-".join(map(str, each)) for each in zip(*self.stages, strict=True))
            return f"{family}{self.size}".strip() + f", {depths} blocks of width {widths}"
        words = [f"{family}{self.size}/{self.patch}", f"width {self.width}", f"{self.depth} blocks",
                 _grid_text(self.places) or f"{self.positions} positions"]
        if self.registers:
            words.append(f"{self.registers} register{'s' * (self.registers > 1)}")
        if self.gated:
            words.append("gated feed-forward")
        return ", ".join(words)


def _grid_text(places: int | None) -> str | None:
    if places is None:
        return None
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
        naming: Origin of the backbone's names, such as timm; None without a backbone.
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
    weights = without_prefix(state_dict_of(content))
    inner = split(weights).backbone
    alone = not inner and not any(name.startswith((HEAD, ADAPTER)) for name in weights)
    backbone = weights if alone else inner
    found = recognise(backbone)
    network = _network(found.family, found.naming.to_timm(_shapes(backbone))) if found else None
    meta = meta_of(content)
    head = weights.get(f"{HEAD}cls_embed.weight")
    return Identity(
        kind=_kind(content, weights, found.family if network else None, network, alone),
        naming=found.naming.publisher if network else None,
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
    content: Mapping, weights: StateDict, family: Family | None, network: Network | None,
    alone: bool,
) -> Kind:
    """Infer the kind from the parts; `network` is None if its architecture is unknown."""
    if not weights:
        return Kind.STATE if "optimizer" in content or "state" in content else Kind.OTHER
    if alone:
        if network is None:
            return Kind.OTHER
        converted = CONVERTED in meta_of(content) or family.patch not in (None, network.patch)
        return Kind.CONVERTED if converted else Kind.ORIGINAL
    has_head = any(name.startswith(HEAD) for name in weights)
    if any(not name.endswith("bias") for name in split(weights).backbone):  # of any architecture
        return Kind.SEGMENTOR if has_head else Kind.OTHER
    if any(name.startswith(ADAPTER) for name in weights):
        return Kind.TRAINED
    return Kind.HEAD if has_head else Kind.OTHER


def _shapes(weights: Mapping[str, Tensor]) -> StateDict:
    """Return weights without values."""
    return {name: torch.empty_like(value, device="meta") for name, value in weights.items()}


def _network(family: Family, weights: StateDict) -> Network | None:
    """Infer an architecture from weights under timm's names; None if they are incomplete."""
    if family.stages:
        stages = _stages(weights, family.stages)
        if not stages:
            return None
        width, depth = stages[-1][1], sum(blocks for blocks, _ in stages)
        return Network(
            family.name, family.sizes.get((width, depth), ""), width, depth, stages, patch=None,
            places=None, positions=family.positions, registers=0, gated=False)
    if not {"patch_embed.proj.weight", "blocks.0.norm1.weight"} <= weights.keys():
        return None
    kernel, positions = weights["patch_embed.proj.weight"], weights.get("pos_embed")
    width, depth = kernel.shape[0], len(
        {name.split(".")[1] for name in weights if name.startswith("blocks.")})
    registers = weights.get("reg_token")
    return Network(
        family=family.name,
        size=family.sizes.get((width, depth), "ViT"),
        width=width,
        depth=depth,
        stages=(),
        patch=kernel.shape[-1],
        places=None if positions is None else positions.shape[1:-1].numel() - (
            "cls_token" in weights and registers is None),
        positions=family.positions,
        registers=0 if registers is None else registers.shape[1],
        gated=is_packed_gated(weights) or "blocks.0.mlp.fc1_g.weight" in weights,
    )


def _stages(weights: StateDict, template: str) -> tuple[tuple[int, int], ...]:
    """Return blocks and width of each stage, told by number or else by width."""
    found = []
    for name, value in weights.items():
        numbers = wildcards(name, template)
        if numbers:
            numbers = tuple(map(int, numbers))
            found.append((numbers, numbers[0] if len(numbers) > 1 else value.shape[0], len(value)))
    runs = [list(run) for _, run in groupby(sorted(found), key=lambda block: block[1])]
    return tuple((len(run), run[-1][2]) for run in runs)


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
        backbone: Frozen weights without prefix, under the names of our checkpoints.

    Returns:
        A dict of plain values that can be saved: `digest`; `resampled`, name -> `shape` and
        `values`; `rounded`, the digest of some values in bfloat16, and `is_rounded` if weights are
        stored so.
    """
    found = recognise(backbone)
    resampled_names = [
        name for name in backbone
        if found and matches(found.naming.timm_name(name), found.family.resampled)]
    backbone = {name: value for name, value in backbone.items()
                if not (found and matches(name, found.family.unused))}
    if {"cls_token", "pos_embed"} <= backbone.keys() and "reg_token" not in backbone:
        # only their sum matters; files may split it. timm's token with registers includes it
        position = backbone["pos_embed"].detach().float()
        backbone["cls_token"] = backbone["cls_token"].detach().float() + position[:, :1]
        backbone["pos_embed"] = position[:, 1:]
    exact = {name: v for name, v in backbone.items() if name not in resampled_names}
    resampled = {}
    for name in resampled_names:
        value = backbone[name]
        resampled[name] = dict(shape=list(value.shape), values=_some(value).float().tolist())
    return dict(
        digest=digest(exact), resampled=resampled,
        rounded=digest({name: _some(value).bfloat16() for name, value in exact.items()}),
        is_rounded=any(value.dtype is torch.bfloat16 for value in exact.values()))


def _some(value: Tensor) -> Tensor:
    """Return evenly spaced values of a weight."""
    places = torch.linspace(0, value.numel() - 1, _SAMPLES, dtype=torch.float64).long()
    return value.detach().flatten()[places.to(value.device)]


def fingerprint_difference(trained: Mapping[str, Any], found: Mapping[str, Any]) -> str | None:
    """Compare the fingerprint of an adapter's training with that of other frozen weights.

    Args:
        trained: `fingerprint` stored in the checkpoint.
        found: `fingerprint` of the other weights.

    Returns:
        The difference in words; None if the weights are the same.
    """
    # one of them kept its frozen weights in bfloat16
    rounded = trained.get("is_rounded", False) != found.get("is_rounded", False)
    compared = "rounded" if rounded else "digest"
    if trained.get(compared) != found.get(compared):
        return (f"it was trained with weights {trained['digest'][:12]}, these are "
                f"{found['digest'][:12]}")
    for name, was in trained["resampled"].items():
        now = found["resampled"].get(name)
        if now is None or list(now["shape"]) != list(was["shape"]):
            shape = "missing" if now is None else tuple(now["shape"])
            return f"{name} was {tuple(was['shape'])} in training and is {shape}"
        was, now = torch.tensor(was["values"]), torch.tensor(now["values"])
        if not torch.allclose(was, now, rtol=1e-2 if rounded else 1e-3, atol=1e-5):
            return f"{name} was resampled differently for training"
    return None
