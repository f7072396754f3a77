"""Fold an adapter into the frozen backbone, so that it costs nothing at inference."""

import copy
from pathlib import Path

import torch
from mmengine.config import Config
from torch import Tensor, nn

from rein import checkpoint as ckpt
from rein.checkpoint import StateDict
from rein.checkpoint.parts import ADAPTER
from rein.engine.configs.building import build_model
from rein.engine.registration import register_all_modules
from rein.errors import UserError
from rein.models.pyramid import Pyramid


@torch.no_grad()
def fold_adapter(cfg: Config, weights: StateDict, source: str | Path) -> tuple[Config, StateDict]:
    """Add an adapter's weight changes to the backbone and leave the adapter out.

    Args:
        cfg: Config of the segmentor; weights are folded in float32 whatever its `frozen_dtype`.
        weights: All its weights.
        source: Their file, named in messages.

    Returns:
        The config without the adapter, and the weights.

    Raises:
        UserError: There is no adapter, or it does not amount to a change of weights, or the
            folded network has other outputs.
    """
    register_all_modules(init_default_scope=False)
    model = _build_in_float32(cfg)
    adapter = getattr(model.backbone, "reins", None)
    if adapter is None:
        raise UserError(f"{source}: its backbone has no adapter to fold. Omit --fold.")
    ckpt.load_strictly(model, weights, source)
    images = torch.randn(1, 3, *(cfg.model.get("test_cfg") or {}).get("crop_size", (64, 64)))
    expected = model.eval().backbone(images)
    changes = adapter.fold()
    if not changes:
        raise UserError(
            f"{source}: {type(adapter).__name__} depends on the features of each image, so no "
            "change of the frozen weights replaces it. Omit --fold; LoRA, DoRA, SoMA, BitFit, "
            "NormTuning and Peft can be folded.")
    network = dict(model.backbone.model.named_parameters())
    for name, change in changes.items():
        network[name] += change
    plain = {name: value for name, value in model.state_dict().items()
             if not name.startswith(ADAPTER)}
    folded = copy.deepcopy(cfg)
    folded.model.backbone.pop("lora_cfg", None)
    folded.model.backbone.reins_config = None
    _check_outputs(folded, plain, images, expected, source)
    return folded, plain


def _build_in_float32(cfg: Config) -> nn.Module:
    """Build a config's model, all of whose weights are float32: bfloat16 would round changes."""
    model = copy.deepcopy(cfg.model)
    model.backbone.pop("frozen_dtype", None)
    return build_model(model)


def _check_outputs(
    cfg: Config, weights: StateDict, images: Tensor, expected: Pyramid, source: str | Path,
) -> None:
    """Raise if a folded backbone's maps of images differ from the adapter's."""
    model = _build_in_float32(cfg)
    ckpt.load_strictly(model, weights, source)
    error = max(float((ours - theirs).norm() / theirs.norm()) for ours, theirs in zip(
        model.eval().backbone(images), expected, strict=True))
    if not error < 1e-4:
        raise UserError(
            f"{source}: folding would change the features by {error:.1g} of their norm. Combined "
            "adapters can be folded if they change different weights. Omit --fold.")
