"""Load weights into models: fit and identify backbones, load for testing."""

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
from rein.checkpoint.families import matches
from rein.engine.configs.building import build_model
from rein.engine.registration import register_all_modules
from rein.errors import UserError, one_line
from rein.models.freezing import frozen_names
from rein.paths import find_path


def load_fitted(path: str | Path, backbone: nn.Module) -> StateDict:
    """Read a backbone's file and fit it to a backbone; see `fit_backbone`."""
    content = ckpt.load_file(path)
    return fit_backbone(
        ckpt.backbone_of(content), backbone, ckpt.CONVERTED in ckpt.meta_of(content))


def fit_backbone(
    weights: StateDict, backbone: nn.Module, is_converted: bool = False,
) -> StateDict:
    """Convert downloaded weights to the names, patch size and grid of a backbone.

    Args:
        weights: Weights without a prefix, under any names of the backbone's family.
        backbone: The target; may be on the meta device.
        is_converted: Whether the file says so in its `meta`. A family that is released at a single
            patch size shows it by its kernel.

    Returns:
        The converted weights under the backbone's names. Weights that are not recognised only get
        its names, and strict loading reports any mismatch. Converted weights are not converted
        again, which would blur them.
    """
    found, patch = ckpt.recognise(weights), backbone.family.patch
    network = ckpt.identify(weights).backbone
    if found is None or is_converted or (
            patch is not None and (network is None or network.patch != patch)):
        return ckpt.translate(weights, backbone.naming)
    model = backbone.model
    fitted = ckpt.fit(
        found.naming.to_timm(weights), model.state_dict(),
        getattr(getattr(model, "patch_embed", None), "grid_size", None), backbone.family)
    return _neutral_norms(backbone) | backbone.naming.from_timm(fitted)


def _neutral_norms(backbone: nn.Module) -> StateDict:
    """Return output norms of a published ConvNeXt as they start; pretrained files lack them."""
    make = {"weight": torch.ones, "bias": torch.zeros}
    return {name: make[name.rpartition(".")[2]](value.shape)
            for name, value in backbone.state_dict().items() if matches(name, ("norm#.*",))}


def conversion(backbone: nn.Module, model: str) -> dict[str, dict[str, str]]:
    """Return the `meta` that marks weights as converted for a backbone.

    Args:
        backbone: The backbone that they fit.
        model: Its name, for users.
    """
    embed = getattr(backbone.model, "patch_embed", None)
    grid, size = getattr(embed, "grid_size", None), "any size"
    if grid is not None and not backbone.family.stages:
        height, width = (side * patch for side, patch in zip(grid, embed.patch_size, strict=True))
        size = f"{height}x{width} pixels, patch {embed.patch_size[0]}"
    return {ckpt.CONVERTED: dict(model=model, size=size)}


def build_empty(cfg: Config) -> nn.Module:
    """Build a config's model on the meta device, to compare names and shapes without memory."""
    register_all_modules(init_default_scope=False)  # imports create real tensors
    with torch.device("meta"):
        return build_model(cfg.model)


def frozen_fingerprint(model: nn.Module) -> dict[str, Any] | None:
    """Return the fingerprint of a segmentor's frozen backbone; None if nothing is frozen."""
    weights, frozen = model.state_dict(), frozen_names(model)
    backbone = ckpt.split({name: weights[name] for name in sorted(frozen)}).backbone
    return ckpt.fingerprint(backbone) if backbone else None


def check_trained_with(
    content: Mapping[str, Any],
    found: Mapping[str, Any] | None,
    source: str | Path,
    allow_other_backbone: bool = False,
) -> None:
    """Raise if the frozen backbone differs from the one an adapter was trained with.

    Args:
        content: A training checkpoint; without a fingerprint it passes with a note.
        found: Fingerprint of the present frozen backbone; None if nothing is frozen.
        source: The checkpoint, named in messages.
        allow_other_backbone: Log a warning instead of raising.

    Raises:
        UserError: The backbones differ.
    """
    trained = ckpt.meta_of(content).get(ckpt.FINGERPRINT)
    if found is None:
        return
    if trained is None:
        print_log(f"{source}: does not record its frozen backbone, like all published files; "
                  "assuming this one.", "current")
        return
    try:
        difference = ckpt.fingerprint_difference(trained, found)
    except (KeyError, TypeError, AttributeError, ValueError, RuntimeError) as error:
        raise UserError(f"{source}: damaged, because the fingerprint of its backbone is unreadable "
                        f"({one_line(error)}). Download or create it again.") from None
    if difference is None:
        return
    if not allow_other_backbone:
        raise UserError(
            f"{source}: trained with another frozen backbone: {difference}. Pass that backbone, or "
            "use --allow-other-backbone to accept this one.")
    print_log(f"{source}: trained with another frozen backbone: {difference}. Loaded "
              "anyway, because --allow-other-backbone is set.", "current", logging.WARNING)


def load_for_testing(
    model: nn.Module,
    content: Mapping[str, Any],
    source: str | Path,
    backbone: str | Path | None = None,
    allow_other_backbone: bool = False,
) -> None:
    """Load all weights of a model from a checkpoint and, if it lacks the frozen ones, a backbone.

    Args:
        model: A segmentor.
        content: Result of `load_file(source)`: a full segmentor or a training checkpoint.
        source: The checkpoint, named in messages.
        backbone: The pretrained file, converted or as downloaded. Default: the file in the model's
            config.
        allow_other_backbone: Accept a frozen backbone that the checkpoint was not trained with.

    Raises:
        UserError: Weights are missing or do not fit.
    """
    weights = ckpt.state_dict_of(content)
    everything = model.state_dict()
    lacking = set(everything) - set(weights)
    frozen = frozen_names(model)
    trained = ckpt.identify(weights).kind in (ckpt.Kind.TRAINED, ckpt.Kind.HEAD)
    may_miss = {"frozen weights": frozen if backbone or trained else ()}
    ckpt.check_fits(everything, weights, source, may_miss)
    if lacking and lacking <= frozen:
        backbone = backbone or (getattr(model.backbone, "init_cfg", None) or {}).get("checkpoint")
        if backbone is None:
            raise UserError(f"{source}: contains only trained weights, without the frozen "
                            "backbone. Pass the backbone's file, too (--backbone).")
        fitted = load_fitted(find_path(backbone), model.backbone)
        model.backbone.load_pretrained(fitted, str(backbone))
        check_trained_with(content, frozen_fingerprint(model), source, allow_other_backbone)
    elif backbone is not None and not lacking:
        raise UserError(f"{source}: already contains the backbone. Pass no other one.")
    ckpt.load_strictly(model, weights, source, may_miss)
