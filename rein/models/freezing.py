"""Freeze modules, count parameters, and select the weights that training changes."""

from collections.abc import Iterator
from itertools import chain
from typing import NamedTuple

from torch import Tensor, nn


class ParameterCount(NamedTuple):
    """Parameter counts of a module."""

    trainable: int
    total: int

    def __str__(self) -> str:
        share = 100 * self.trainable / max(self.total, 1)
        return f"{self.trainable:,} of {self.total:,} parameters ({share:.2f} %)"


def freeze(module: nn.Module) -> nn.Module:
    """Exclude a module from training: no gradients, evaluation mode. Return the module."""
    return module.requires_grad_(False).eval()


def count_parameters(module: nn.Module) -> ParameterCount:
    """Count a module's parameters: trainable and total."""
    parameters = list(module.parameters())
    return ParameterCount(
        trainable=sum(p.numel() for p in parameters if p.requires_grad),
        total=sum(p.numel() for p in parameters))


def frozen_names(model: nn.Module) -> set[str]:
    """Return the names in `model.state_dict()` that training leaves unchanged."""
    return model.state_dict().keys() - trained_state_dict(model).keys()


def trained_state_dict(model: nn.Module) -> dict[str, Tensor]:
    """Return the entries of `model.state_dict()` that training may change.

    Frozen parameters and the buffers of frozen modules are left out. Other buffers are kept,
    because running statistics are learned, too. A module with `SAVED_WHOLE`, an adapter, is kept
    wholly: its frozen values may be random, and no other file has them.
    """
    frozen = {id(buffer) for buffer in _frozen_buffers(model)}
    whole = {id(value) for module in model.modules() if getattr(module, "SAVED_WHOLE", False)
             for value in chain(module.parameters(), module.buffers())}
    return {
        name: value.detach()
        for name, value in model.state_dict(keep_vars=True).items()
        if id(value) in whole or (
            value.requires_grad if isinstance(value, nn.Parameter) else id(value) not in frozen)
    }


def _frozen_buffers(module: nn.Module, frozen: bool = False) -> Iterator[Tensor]:
    """List the buffers of frozen modules.

    Args:
        module: The module to search.
        frozen: Whether its parent is frozen; modules without parameters inherit this.
    """
    parameters = list(module.parameters())
    if parameters:
        frozen = not any(p.requires_grad for p in parameters)
    if frozen:
        yield from module.buffers(recurse=False)
    for child in module.children():
        yield from _frozen_buffers(child, frozen)
