"""Merge and split the parts of a segmentor's weights, under their published names.

Source: Rein (Wei et al., arXiv:2312.04265), whose project saves the adapter and the head and
merges them with the frozen backbone afterwards.
"""

from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor

from rein.checkpoint.io import StateDict
from rein.errors import UserError

BACKBONE = "backbone."
ADAPTER = "backbone.reins."
HEAD = "decode_head."


def merge(backbone: Mapping[str, Tensor], rein_and_head: Mapping[str, Tensor]) -> StateDict:
    """Merge a converted backbone and the trained parts into a full segmentor.

    Args:
        backbone: Without prefix, as the converter writes it.
        rein_and_head: `backbone.reins.*` and `decode_head.*`, as training saves them. Biases of
            the backbone in it, as in SoMA's published files, replace the frozen ones.

    Returns:
        Every weight of the segmentor under its published name.
    """
    frozen = {BACKBONE + name: value for name, value in backbone.items()}
    both = sorted(name for name in set(frozen) & set(rein_and_head) if not name.endswith("bias"))
    if both:
        raise UserError(
            f"{len(both)} weights are in both the backbone and the trained parts, such as "
            f"{both[0]}: this checkpoint is already complete, or was trained with the backbone.")
    return {**frozen, **rein_and_head}


class Parts(NamedTuple):
    """The parts of a full segmentor, in the order that `merge` takes them."""

    backbone: StateDict
    rein_and_head: StateDict


def split(segmentor: Mapping[str, Tensor]) -> Parts:
    """Split a full segmentor; the inverse of `merge`."""
    backbone, rest = {}, {}
    for name, value in segmentor.items():
        if name.startswith(BACKBONE) and not name.startswith(ADAPTER):
            backbone[name.removeprefix(BACKBONE)] = value
        else:
            rest[name] = value
    return Parts(backbone, rest)


def without_prefix(state_dict: Mapping[str, Tensor]) -> StateDict:
    """Return a classifier's backbone without its prefix; other weights are returned unchanged.

    OpenMMLab's classifiers have a backbone with our prefix, but no decode head and no adapter.
    """
    if any(name.startswith((HEAD, ADAPTER)) for name in state_dict):
        return dict(state_dict)
    return split(state_dict).backbone or dict(state_dict)
