"""Fold an adapter into the frozen backbone, so that it costs nothing at inference."""

import copy
import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from mmengine.config import Config
from torch import Tensor, nn

from rein import checkpoint as ckpt
from rein.checkpoint import StateDict
from rein.checkpoint.parts import ADAPTER
from rein.engine.configs.building import build_model
from rein.engine.registration import register_all_modules
from rein.errors import UserError
from rein.models.adapters.base import Adapter, parts_of
from rein.models.freezing import count_parameters
from rein.models.pyramid import Pyramid


class Folded(NamedTuple):
    """A segmentor whose adapter is folded.

    Attributes:
        cfg: Its config, without the adapter.
        weights: All its weights.
        trainable: Parameters of the backbone that training had changed.
    """

    cfg: Config
    weights: StateDict
    trainable: int


@torch.no_grad()
def fold_adapter(cfg: Config, weights: StateDict, source: str | Path) -> Folded:
    """Add an adapter's weight changes to the backbone and leave the adapter out.

    Args:
        cfg: Config of the segmentor; weights are folded in float32 whatever its `frozen_dtype`.
        weights: All its weights.
        source: Their file, named in messages.

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
    images = _images(cfg, model.backbone.only_size)
    expected = [model.eval().backbone(image) for image in images]
    network = dict(model.backbone.model.named_parameters())
    for part in parts_of(adapter):
        _check_changes(part, network, source)
    for name, change in adapter.fold().items():
        network[name] += change
    plain = {name: value for name, value in model.state_dict().items()
             if not name.startswith(ADAPTER)}
    folded = _without_adapter(cfg)
    advice = (f"{type(adapter).__name__}.fold() does not amount to what its hooks do: correct it, "
              "or omit --fold.")
    if len(parts_of(adapter)) > 1:
        advice = "Combined adapters can be folded if they change different weights. Omit --fold."
    _check_outputs(folded, plain, images, expected, source, advice)
    return Folded(folded, plain, count_parameters(model.backbone).trainable)


def _check_changes(
    adapter: Adapter, network: Mapping[str, nn.Parameter], source: str | Path,
) -> None:
    """Raise if an adapter has no changes, or one that fits no parameter of its network."""
    changes, owner = adapter.fold(), f"{source}: {type(adapter).__name__}"
    if not changes:
        lacks = "has no `fold`" if type(adapter).fold is Adapter.fold else "folds into no changes"
        raise UserError(
            f"{owner} {lacks}. Omit --fold; LoRA, DoRA, SoMA, BitFit, NormTuning and Peft can be "
            "folded, but adapters that depend on the features of each image, such as Rein, VPT and "
            "AdaptFormer, cannot.")
    for name, change in changes.items():
        if name not in network:
            like = difflib.get_close_matches(name, network, 1, cutoff=0)[0]
            raise UserError(f"{owner}.fold() names {name}, which is no parameter of the network; "
                            f"expected a name such as {like}.")
        if change.shape != network[name].shape:
            raise UserError(f"{owner}.fold() gives {name} a change of shape {tuple(change.shape)}; "
                            f"expected the weight's, {tuple(network[name].shape)}.")


def _images(cfg: Config, only_size: tuple[int, int] | None) -> list[Tensor]:
    """Draw images (1, 3, H, W): a crop, and half of one, for which positions are resampled."""
    height, width = (cfg.model.get("test_cfg") or {}).get("crop_size", (64, 64))
    sizes = [only_size] if only_size else [(height, width), (height // 2, width)]
    return [torch.randn(1, 3, *size) for size in sizes]


def _without_adapter(cfg: Config) -> Config:
    """Return a config whose backbone has no adapter, and is frozen as before."""
    folded = copy.deepcopy(cfg)
    if folded.model.backbone.pop("lora_cfg", None) is not None:
        folded.model.backbone.soma_network = True
    folded.model.backbone.reins_config = None
    return folded


def _build_in_float32(cfg: Config) -> nn.Module:
    """Build a config's model, all of whose weights are float32: bfloat16 would round changes."""
    model = copy.deepcopy(cfg.model)
    model.backbone.pop("frozen_dtype", None)
    return build_model(model)


def _check_outputs(
    cfg: Config, weights: StateDict, images: Sequence[Tensor], expected: Sequence[Pyramid],
    source: str | Path, advice: str,
) -> None:
    """Raise if a folded backbone's maps of images differ from the adapter's."""
    model = _build_in_float32(cfg)
    ckpt.load_strictly(model, weights, source)
    error = max(float((ours - theirs).norm() / theirs.norm())
                for image, maps in zip(images, expected, strict=True)
                for ours, theirs in zip(model.eval().backbone(image), maps, strict=True))
    if not error < 1e-4:
        raise UserError(
            f"{source}: folding would change the features by {error:.1g} of their norm. {advice}")
