"""Read a backbone's file, and rename its weights; `families` holds the name tables."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from rein.checkpoint.families import DINOV2, TIMM, recognise, translate
from rein.checkpoint.io import StateDict, load_file, state_dict_of
from rein.checkpoint.parts import without_prefix


def naming(state_dict: Mapping[str, Tensor]) -> str:
    """Tell whose names a backbone's weights use, such as "DINOv2", "timm" or "Hugging Face"."""
    found = recognise(state_dict)
    return (found.naming if found else TIMM).publisher


def to_dinov2_names(state_dict: Mapping[str, Tensor]) -> StateDict:
    """Rename a backbone's weights to DINOv2's names.

    Args:
        state_dict: Under DINOv2's, timm's or Hugging Face's names. Other weights pass unchanged.

    Returns:
        A new dict that shares all values, except queries, keys and values, which DINOv2 joins,
        and timm's positions, which lack the class token's.
    """
    return translate(state_dict, DINOV2.published)


def load_backbone(path: str | Path) -> StateDict:
    """Read a backbone's weights safely, under the file's own names; see `load_file`."""
    return backbone_of(load_file(path))


def backbone_of(content: Mapping[str, Any]) -> StateDict:
    """Return a backbone's weights in a file's content, under the file's own names.

    OpenMMLab's classifiers have the prefix of our segmentors; it is removed.
    """
    return without_prefix(state_dict_of(content))
