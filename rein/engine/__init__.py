"""Engine: the runner, its hooks, optimizers, configs and weights."""

from rein.engine.hooks import TrainableParametersHook, TrainedWeightsHook
from rein.engine.optim import PEFTOptimWrapperConstructor
from rein.engine.runner import ReinRunner
from rein.engine.seeding import IterationSeedHook

__all__ = [
    "IterationSeedHook",
    "PEFTOptimWrapperConstructor",
    "ReinRunner",
    "TrainableParametersHook",
    "TrainedWeightsHook",
]
