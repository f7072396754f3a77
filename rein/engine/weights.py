"""Weights into models: fit a backbone, load for testing, tell frozen backbones apart."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.logging import print_log
from torch import nn

from rein import checkpoint as ckpt
from rein.checkpoint import StateDict
from rein.engine.paths import find_path
from rein.engine.registration import build_model, register_all_modules
from rein.errors import UserError
from rein.models.freezing import frozen_names


def fit_backbone(weights: StateDict, backbone: nn.Module) -> StateDict:
    """Convert DINOv2 weights as they are downloaded to the patch and grid of a backbone.

    Args:
        weights: Without prefix, under DINOv2's names.
        backbone: What they shall fit; its weights need no memory.

    Returns:
        Weights that fit already, or are no such file, as they are: strict loading tells what is
        wrong with them. Converted ones are not converted again, which would blur them.
    """
    expected = backbone.state_dict()
    if ckpt.identify(weights).kind is not ckpt.Kind.ORIGINAL or not all(
            name in expected for name in ckpt.RESAMPLED):
        return weights
    if all(expected[name].shape == weights[name].shape for name in ckpt.RESAMPLED):
        return weights
    patch_embed = backbone.model.patch_embed
    patch_size = patch_embed.patch_size[0]
    rows, columns = patch_embed.grid_size
    return ckpt.convert_dinov2(weights, (rows * patch_size, columns * patch_size), patch_size)


def build_empty(cfg: Config) -> nn.Module:
    """Build a config's model without memory for its weights, to compare names and shapes."""
    register_all_modules(init_default_scope=False)  # what an import makes needs memory
    with torch.device("meta"):
        return build_model(cfg.model)


def frozen_fingerprint(model: nn.Module) -> dict[str, Any] | None:
    """Identify the frozen backbone of a segmentor; None if nothing of it is frozen."""
    weights, frozen = model.state_dict(), frozen_names(model)
    backbone = ckpt.split({name: weights[name] for name in sorted(frozen)}).backbone
    return ckpt.fingerprint(backbone) if backbone else None


def check_trained_with(
    content: Mapping[str, Any],
    found: Mapping[str, Any] | None,
    source: str | Path,
    allow_other_backbone: bool = False,
) -> None:
    """Raise if a trained adapter meets another frozen backbone than it was trained with.

    Args:
        content: A checkpoint of training; one without a fingerprint passes with a note.
        found: Fingerprint of the frozen backbone at hand; None if nothing is frozen.
        source: The checkpoint, for messages.
        allow_other_backbone: Log a warning instead.

    Raises:
        UserError: The backbones differ.
    """
    trained = ckpt.meta_of(content).get(ckpt.FINGERPRINT)
    if found is None:
        return
    if trained is None:
        print_log(f"{source}: does not say which frozen backbone it was trained with (published "
                  "files do not); taken to be this one.", "current")
        return
    difference = ckpt.fingerprint_difference(trained, found)
    if difference is None:
        return
    if not allow_other_backbone:
        raise UserError(
            f"{source}: trained with another frozen backbone: {difference}. Give the one it was "
            "trained with, or --allow-other-backbone to use this one all the same.")
    print_log(f"{source}: trained with another frozen backbone: {difference}. Loaded all the same, "
              "because --allow-other-backbone was given.", "current", logging.WARNING)


def load_for_testing(
    model: nn.Module,
    content: Mapping[str, Any],
    source: str | Path,
    backbone: str | Path | None = None,
    allow_other_backbone: bool = False,
) -> None:
    """Load every weight of a model from a checkpoint and, if it holds not all, a backbone.

    Args:
        model: A segmentor.
        content: What `load_file(source)` gave: a full segmentor or what training saved.
        source: The checkpoint, for messages.
        backbone: The pretrained file, converted or as downloaded. Default: the file that the
            model's config names.
        allow_other_backbone: Load onto another frozen backbone than the checkpoint was trained
            with.

    Raises:
        UserError: Weights are missing or do not fit.
    """
    weights = ckpt.state_dict_of(content)
    everything = model.state_dict()
    lacking = set(everything) - set(weights)
    frozen = frozen_names(model)
    if lacking and lacking <= frozen:
        backbone = backbone or (getattr(model.backbone, "init_cfg", None) or {}).get("checkpoint")
        if backbone is None:
            raise UserError(f"{source}: holds what was trained, without the frozen backbone; give "
                            "that with --backbone.")
        pretrained = ckpt.load_backbone(find_path(backbone))
        model.backbone.load_pretrained(fit_backbone(pretrained, model.backbone), str(backbone))
        check_trained_with(content, frozen_fingerprint(model), source, allow_other_backbone)
    elif backbone is not None and not lacking:
        raise UserError(f"{source}: holds the backbone already; leave --backbone out.")
    ckpt.load_strictly(
        model, weights, source, may_miss={"frozen weights": frozen if backbone else ()})
