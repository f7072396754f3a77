"""Describe a family of backbones: names of weights, marks, resampling, unused weights.

timm's names are the hub: every naming translates to them, and back if checkpoints use it. In the
templates below, `#` stands for a number and `*` for the rest of a name.
"""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from rein.checkpoint.io import StateDict


class Rename(NamedTuple):
    """One row of a name table; both templates have the same wildcards in the same order.

    Attributes:
        theirs: The publisher's name.
        timm: timm's name.
        when: Whether a network, given its weights under either names, uses this row.
    """

    theirs: str
    timm: str
    when: Callable[[StateDict], bool] | None = None


@dataclass(frozen=True, eq=False)
class Naming:
    """A publisher's names for a family's weights.

    Attributes:
        publisher: Whose names, as shown to users.
        marks: Templates of names that such a file has; `a|b` needs one of them, `!a` none.
        prefix: Regular expression of the backbone's prefix. Names without it are other parts of
            the file and are dropped.
        renames: Table to timm's names; the first matching row holds, other names are the same.
        read: Last step to timm's weights, where values change or join.
        write: First step from timm's weights, the inverse of `read`. None if `read` has none;
            checkpoints use only namings whose `read` can be inverted.
        fits: Further condition on the shapes of the marked weights, after `prefix`.
    """

    publisher: str
    marks: tuple[str, ...] = ()
    prefix: str = ""
    renames: tuple[Rename, ...] = ()
    read: Callable[[StateDict], StateDict] = dict
    write: Callable[[StateDict], StateDict] = dict
    fits: Callable[[StateDict], bool] = field(default=lambda weights: True)

    def select(self, state_dict: Mapping[str, Tensor]) -> StateDict:
        """Return the backbone's weights without their prefix."""
        if not self.prefix:
            return dict(state_dict)
        found = {name: re.match(self.prefix, name) for name in state_dict}
        return {name[match.end():]: state_dict[name] for name, match in found.items() if match}

    def matches(self, state_dict: Mapping[str, Tensor]) -> bool:
        """Tell whether a file uses these names."""
        weights = self.select(state_dict)
        return has_marks(weights, self.marks) and self.fits(weights)

    def to_timm(self, state_dict: Mapping[str, Tensor]) -> StateDict:
        """Rename a file's weights to timm's names."""
        weights = self.select(state_dict)
        pairs = [(row.theirs, row.timm) for row in self.renames
                 if row.when is None or row.when(weights)]
        return self.read({_renamed(name, pairs): value for name, value in weights.items()})

    def timm_name(self, name: str) -> str:
        """Rename one name, without prefix, to timm's."""
        return _renamed(name, ((row.theirs, row.timm) for row in self.renames))

    def from_timm(self, weights: Mapping[str, Tensor]) -> StateDict:
        """Rename weights from timm's names; the inverse of `to_timm`."""
        weights = self.write(dict(weights))
        pairs = [
            (row.timm, row.theirs) for row in self.renames
            if row.when is None or row.when(weights)]
        return {_renamed(name, pairs): value for name, value in weights.items()}


class Resampling(NamedTuple):
    """How a weight follows the patch or image size.

    Attributes:
        layout: 'kernel' (O, I, h, w); 'positions' (1, prefix + h * w, C); 'square', the same
            resampled to a square and cropped; 'map' (1, h, w, C); 'relative' (2 * side - 1, C);
            'bias_table' ((2h - 1) * (2w - 1) + rest, heads).
        mode: 'bicubic' or 'bilinear', without antialiasing; 'linear' for 'relative'.
    """

    layout: str
    mode: str = "bicubic"


KERNEL = {"patch_embed.proj.weight": Resampling("kernel")}
POSITIONS = {"pos_embed": Resampling("positions")}
VIT = KERNEL | POSITIONS
CLASSIFIER = {
    "head.*": "classifier", "head_dist.*": "classifier", "fc_norm.*": "norm before the classifier",
    "norm.*": "final norm; the maps are taken before it",
}


@dataclass(frozen=True, eq=False)
class Family:
    """A family of backbones.

    Attributes:
        name: As shown to users.
        timm: Regular expression of its networks' names in timm.
        namings: Names in released files, other than timm's.
        published: The published names, which checkpoints of the published types use.
        marks: Templates that recognise its weights under timm's names; see `Naming.marks`.
        fits: Further condition on shapes, as in `Naming`.
        stages: Template of a weight that each block of a staged network has once, with the block's
            width as its first axis; empty for plain transformers.
        sizes: (width of the last block, blocks) -> name of the released networks.
        resampled: Template of timm's names -> how the weight follows patch and image size.
        unused: Template of names, timm's or published -> why a backbone does without the weight.
        positions: Kind of its positions beside or instead of absolute ones, rotary or relative.
        patch: Patch side of every released network, pixels; another one shows a conversion. None
            if they differ.
        arguments: Arguments of timm's networks that the released weights need where timm's name
            leaves them out.
        adapt: Last step before weights enter a network, given the network's expected weights,
            both under timm's names.
    """

    name: str
    timm: str
    namings: tuple[Naming, ...] = ()
    published: Naming | None = None
    marks: tuple[str, ...] = ()
    fits: Callable[[StateDict], bool] = field(default=lambda weights: True)
    stages: str = ""
    sizes: Mapping[tuple[int, int], str] = field(default_factory=dict)
    resampled: Mapping[str, Resampling] = field(default_factory=lambda: VIT)
    unused: Mapping[str, str] = field(default_factory=lambda: CLASSIFIER)
    positions: str = "rotary"
    patch: int | None = None
    arguments: Mapping[str, str] = field(default_factory=dict)
    adapt: Callable[[StateDict, Mapping[str, Tensor]], StateDict] | None = None


# ------------------------------------------------------------------------------------------- names
@cache
def _pattern(template: str) -> re.Pattern:
    escaped = re.escape(template).replace(r"\#", r"(\d+)").replace(r"\*", "(.+)")
    return re.compile(escaped)


def wildcards(name: str, template: str) -> tuple[str, ...] | None:
    """Return what the wildcards of a template stand for in a name; None if it does not match."""
    match = _pattern(template).fullmatch(name)
    return match and match.groups()


def matches(name: str, templates: Collection[str]) -> bool:
    """Tell whether a name matches one of the templates."""
    return any(_pattern(template).fullmatch(name) for template in templates)


def _renamed(name: str, pairs) -> str:
    """Rename by the first matching pair of templates."""
    for old, new in pairs:
        match = _pattern(old).fullmatch(name)
        if match:
            found = iter(match.groups())
            return re.sub(r"[#*]", lambda _: next(found), new)  # noqa: B023  used at once
    return name


def has_marks(names: Collection[str], marks: tuple[str, ...]) -> bool:
    """Tell whether names carry all marks; see `Naming.marks`."""
    return all(
        not _has_any(names, mark[1:]) if mark.startswith("!") else _has_any(names, mark)
        for mark in marks)


def _has_any(names: Collection[str], alternatives: str) -> bool:
    for template in alternatives.split("|"):
        plain = "#" not in template and "*" not in template
        if template in names if plain else any(matches(name, (template,)) for name in names):
            return True
    return False


# ------------------------------------------------------------------------------------------ values
def join_qkv(weights: StateDict, parts: tuple[str, str, str] = ("q", "k", "v")) -> StateDict:
    """Join each block's queries, keys and values into timm's `qkv`, where all three exist."""
    joined = dict(weights)
    for name in weights:
        if f".attn.{parts[0]}." not in name:
            continue
        three = [name.replace(f".attn.{parts[0]}.", f".attn.{part}.") for part in parts]
        if all(part in joined for part in three):
            joined[name.replace(f".attn.{parts[0]}.", ".attn.qkv.")] = torch.cat(
                [joined.pop(part) for part in three])
    return joined


def is_packed_gated(weights: Mapping[str, Tensor]) -> bool:
    """Tell whether gated feed-forward layers join both input projections, as in ViT-g, EVA02-Ti.

    Args:
        weights: Under timm's names, or under DINOv2's and EVA02's, where `w12` shows it.
    """
    if "blocks.0.mlp.w12.weight" in weights:
        return True
    first, second = (weights.get(f"blocks.0.mlp.{name}.weight") for name in ("fc1", "fc2"))
    return first is not None and second is not None and first.shape[0] == 2 * second.shape[1]
