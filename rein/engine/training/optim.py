"""Optimizer constructors under their published names."""

import logging

from mmengine.logging import MMLogger
from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS
from torch import nn

from rein.engine.training.hooks import set_terminal_level
from rein.errors import UserError
from rein.models.adapters import Adapter, Reins
from rein.models.backbones.vfm import VisionFoundationModel
from rein.models.stages import block_index, blocks_of

_SCALE = "reins.scale"


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class PEFTOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """Build the optimizer for parameter-efficient fine-tuning: each trainable parameter once.

    mmengine's constructor does the same since 0.10.4; this class keeps the published name.
    `paramwise_cfg` works as in `DefaultOptimWrapperConstructor` and is matched against
    `model.named_parameters()`, where the pretrained network is `backbone.model.*`.

    The published key `reins.scale` of `custom_keys` holds for the scale of every Rein adapter, also
    in staged networks (`reins.0.scale`) and in `Combined` (`reins.adapters.0.scale`).

    Its `layer_decay` D in (0, 1] multiplies learning rates in the backbone by D^(N + 1 - l): l = 0
    for the embeddings, i + 1 for block i of N, and N + 1 for later layers (BEiT, arXiv:2106.08254).
    Parameters of an adapter that belong to one block have that block's l (LoRA, DoRA, SoMA,
    AdaptFormer, BitFit, NormTuning, Peft), others N + 1: Rein and VPT stack the tokens of all
    blocks in one tensor, which has one learning rate.
    """

    def __call__(self, model: nn.Module) -> OptimWrapper:
        """Build the optimizer; mmengine's notes on frozen weights go only to the log file.

        Raises:
            UserError: `layer_decay` is set, but out of range, or the backbone is not one of ours,
                or nothing in it has a lower learning rate.
        """
        self._name_all_scales(getattr(model, "module", model))
        logger = MMLogger.get_current_instance()
        set_terminal_level(logger, logging.ERROR)
        try:
            wrapper = super().__call__(model)
        finally:
            set_terminal_level(logger, logging.WARNING)
        decay = (self.paramwise_cfg or {}).get("layer_decay")
        if decay is not None:
            _decay_by_layer(wrapper, getattr(model, "module", model).backbone, decay)
        return wrapper

    def _name_all_scales(self, model: nn.Module) -> None:
        """Give each adapter's scale a key of its own, with the options of `reins.scale`."""
        keys = (self.paramwise_cfg or {}).get("custom_keys") or {}
        if _SCALE not in keys:
            return
        own = {f"{name}.scale": keys[_SCALE] for name, module in model.named_modules()
               if isinstance(module, Reins)}
        self.paramwise_cfg = {**self.paramwise_cfg, "custom_keys": {**own, **keys}}


def _decay_by_layer(wrapper: OptimWrapper, backbone: nn.Module, decay: float) -> None:
    """Multiply the learning rates of the backbone's parameters, one per group, by layer."""
    if isinstance(decay, bool) or not isinstance(decay, int | float) or not 0 < decay <= 1:
        raise UserError(f"paramwise_cfg.layer_decay={decay!r}: expected a number in (0, 1].")
    if not isinstance(backbone, VisionFoundationModel):
        raise UserError(
            f"paramwise_cfg.layer_decay: {type(backbone).__name__} has no known blocks. Remove it, "
            "or use type='VisionFoundationModel'.")
    powers = layer_powers(backbone)
    found = [(group, powers.get(group["params"][0], 0)) for group in wrapper.optimizer.param_groups]
    if decay < 1 and not any(power for _, power in found):
        adapter = "there is no adapter" if backbone.reins is None else (
            f"no parameter of {type(backbone.reins).__name__} belongs to a single block")
        raise UserError(
            f"paramwise_cfg.layer_decay={decay} changes no learning rate: the backbone is frozen, "
            f"and {adapter}. Remove it.")
    for group, power in found:
        group["lr"] *= decay ** power


def layer_powers(backbone: VisionFoundationModel) -> dict[nn.Parameter, int]:
    """Return N + 1 - l for each parameter of a backbone; see `PEFTOptimWrapperConstructor`."""
    names = {module: name for name, module in backbone.model.named_modules()}
    blocks = [names[block] for block in blocks_of(backbone.model)]
    powers, done = {}, 0
    for name, parameter in backbone.model.named_parameters():  # in the order of the forward pass
        index = block_index(name, blocks)
        if index is not None:
            done = max(done, index + 1)
            powers[parameter] = len(blocks) - index
        else:
            # between blocks: as the block before; after the last one: not decayed
            powers[parameter] = len(blocks) + 1 - done if done < len(blocks) else 0
    for adapter in backbone.modules():  # an adapter within another comes after it, and decides
        for name, parameter in adapter.named_parameters() if isinstance(adapter, Adapter) else ():
            index = adapter.block_of(name, blocks)
            powers[parameter] = 0 if index is None else len(blocks) - index
    return powers
