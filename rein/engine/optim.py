"""Optimizer constructors under their published names."""

from mmengine.optim import DefaultOptimWrapperConstructor
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class PEFTOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """The optimizer of parameter-efficient fine-tuning: only trainable parameters, each once.

    mmengine's constructor does just that since 0.10.4; the name is the published one.
    `paramwise_cfg` is as for `DefaultOptimWrapperConstructor`, matched against
    `model.named_parameters()`, where the backbone's own network is `backbone.model.*`.
    """
