"""Keep gradients that are still being accumulated in checkpoints, so that resuming loses none."""

from collections.abc import Iterable, Mapping

import torch
from mmengine.dist import all_reduce, get_world_size
from torch import Tensor, nn

GRADIENTS = "gradients"
"""Key of a checkpoint saved within an accumulation: parameter's name -> gradient so far."""


def share_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Average the processes' gradients, in place; call it in all processes, before saving.

    Within an accumulation, gradients differ by process, and the main process saves its own. The
    average at the end of the accumulation stays the same.
    """
    parameters = [value for value in parameters if value.requires_grad]
    if get_world_size() == 1 or not parameters:
        return
    present = torch.tensor([value.grad is not None for value in parameters]).int()
    present = present.to(parameters[0].device)
    all_reduce(present, "max")
    for value, anywhere in zip(parameters, present.tolist(), strict=True):
        if anywhere:
            if value.grad is None:
                value.grad = torch.zeros_like(value)
            all_reduce(value.grad, "mean")


def gradients_of(model: nn.Module) -> dict[str, Tensor]:
    """Return copies of a model's gradients on the CPU; none directly after a step."""
    return {name: value.grad.cpu() for name, value in model.named_parameters()
            if value.grad is not None}


def restore_gradients(model: nn.Module, gradients: Mapping[str, Tensor]) -> None:
    """Set a model's gradients to saved ones."""
    parameters = dict(model.named_parameters())
    for name, value in gradients.items():
        parameters[name].grad = value.to(parameters[name])
