"""One description per family of backbones: each fact about its files stands here, once.

`FAMILIES` lists them, special ones first. Recognise a file with `recognise`, rename its weights
with `translate`. A backbone in memory holds timm's network; `Naming.from_timm` and
`Naming.to_timm` of the naming its checkpoints use rename its state dict.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor

from rein.checkpoint.families.base import Family, Naming, has_marks, matches, wildcards
from rein.checkpoint.families.beit import BEIT
from rein.checkpoint.families.clip import CLIP
from rein.checkpoint.families.convnext import CONVNEXT
from rein.checkpoint.families.dinov2 import DINOV2
from rein.checkpoint.families.dinov3 import DINOV3
from rein.checkpoint.families.efficientnet import EFFICIENTNET
from rein.checkpoint.families.eva02 import EVA02
from rein.checkpoint.families.pe import PE
from rein.checkpoint.families.radio import RADIO
from rein.checkpoint.families.resnet import RESNET
from rein.checkpoint.families.sam import HIERA, SAM
from rein.checkpoint.families.siglip import SIGLIP
from rein.checkpoint.families.swin import SWIN
from rein.checkpoint.families.tips import TIPS
from rein.checkpoint.families.vit import PLAIN
from rein.checkpoint.io import StateDict

TIMM = Naming(publisher="timm")
"""timm's own names: those of every backbone that is built by a timm name, DINOv2's excepted."""

OPEN_CLIP = Naming(publisher="open_clip", prefix=r"visual\.trunk\.")
"""open_clip's names of a text and image model whose image network is timm's."""

FAMILIES = (
    DINOV3, DINOV2, TIPS, RADIO, SAM, HIERA, BEIT, EVA02, CLIP, PE, SIGLIP, SWIN, CONVNEXT, RESNET,
    EFFICIENTNET, PLAIN)


class Found(NamedTuple):
    """A recognised file: its family and whose names it uses."""

    family: Family
    naming: Naming


def recognise(state_dict: Mapping[str, Tensor]) -> Found | None:
    """Recognise a backbone's weights by names and shapes.

    Args:
        state_dict: A backbone's weights without our prefix; values are not read.

    Returns:
        Family and naming, or None if no family has such weights. Networks that share names and
        shapes cannot be told apart: the first family holds.
    """
    for family in FAMILIES:
        for naming in family.namings:
            if naming.matches(state_dict):
                return Found(family, naming)
    for naming in (OPEN_CLIP, TIMM):
        weights = naming.select(state_dict)
        for family in FAMILIES:
            if has_marks(weights, family.marks) and family.fits(weights):
                return Found(family, naming)
    return None


def translate(state_dict: Mapping[str, Tensor], target: Naming) -> StateDict:
    """Rename a backbone's weights.

    Args:
        state_dict: Under any naming of any family; weights that are not recognised count as timm's.
        target: The names wanted.

    Returns:
        A new dict; values are shared where they are the same.
    """
    found = recognise(state_dict)
    source = found.naming if found else TIMM
    if source is target:
        return source.select(state_dict)
    return target.from_timm(source.to_timm(state_dict))


def family_of(timm_name: str) -> Family:
    """Return the family of a timm network; `PLAIN` if none lists its name."""
    name = timm_name.split("/")[-1].split(".")[0]
    return next((family for family in FAMILIES if re.search(family.timm, name)), PLAIN)


def checkpoint_names(timm_name: str) -> Naming:
    """Return the names that checkpoints use for a network built by its timm name."""
    return DINOV2.published if family_of(timm_name) is DINOV2 else TIMM


def unused_weights() -> dict[str, str]:
    """Return templates of weights that files may have and networks do without, with reasons."""
    return {template: reason for family in reversed(FAMILIES)
            for template, reason in family.unused.items()}


__all__ = [
    "BEIT", "CLIP", "CONVNEXT", "DINOV2", "DINOV3", "EFFICIENTNET", "EVA02", "FAMILIES", "HIERA",
    "OPEN_CLIP", "PE", "PLAIN", "RADIO", "RESNET", "SAM", "SIGLIP", "SWIN", "TIMM", "TIPS",
    "Family", "Found", "Naming", "checkpoint_names", "family_of", "matches", "recognise",
    "translate", "unused_weights", "wildcards",
]
