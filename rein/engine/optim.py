"""Optimizer constructors under their published names."""

import logging

from mmengine.logging import MMLogger
from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS
from torch import nn

from rein.engine.hooks import set_terminal_level


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class PEFTOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """Build the optimizer for parameter-efficient fine-tuning: each trainable parameter once.

    mmengine's constructor does the same since 0.10.4; this class keeps the published name.
    `paramwise_cfg` works as in `DefaultOptimWrapperConstructor` and is matched against
    `model.named_parameters()`, where the pretrained network is `backbone.model.*`.
    """

    def __call__(self, model: nn.Module) -> OptimWrapper:
        """Build the optimizer; mmengine's notes on frozen weights go only to the log file."""
        logger = MMLogger.get_current_instance()
        set_terminal_level(logger, logging.ERROR)
        try:
            return super().__call__(model)
        finally:
            set_terminal_level(logger, logging.WARNING)
