"""Engine: the runner, its hooks, optimizers, configs and weights."""

from rein.engine.hooks import TerminalHook, TrainableParametersHook, TrainedWeightsHook
from rein.engine.optim import PEFTOptimWrapperConstructor
from rein.engine.runner import ReinRunner
from rein.engine.seeding import IterationSeedHook

__all__ = [
    "IterationSeedHook",
    "PEFTOptimWrapperConstructor",
    "ReinRunner",
    "TerminalHook",
    "TrainableParametersHook",
    "TrainedWeightsHook",
]
