"""Optimizer constructors under their published names."""

import logging

from mmengine.logging import MMLogger
from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS
from torch import nn

from rein.engine.hooks import set_terminal_level


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class PEFTOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """The optimizer of parameter-efficient fine-tuning: only trainable parameters, each once.

    mmengine's constructor does just that since 0.10.4; the name is the published one.
    `paramwise_cfg` is as for `DefaultOptimWrapperConstructor`, matched against
    `model.named_parameters()`, where the backbone's own network is `backbone.model.*`.
    """

    def __call__(self, model: nn.Module) -> OptimWrapper:
        """Build the optimizer; what mmengine says of every frozen weight goes to the log file."""
        logger = MMLogger.get_current_instance()
        set_terminal_level(logger, logging.ERROR)
        try:
            return super().__call__(model)
        finally:
            set_terminal_level(logger, logging.WARNING)
