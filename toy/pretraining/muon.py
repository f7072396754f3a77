"""Muon: momentum whose matrices are made orthogonal, twice as fast as AdamW on a small ViT.

Source: Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024; scaled as in
Liu et al., arXiv:2502.16982. `torch.optim.Muon` computes in bfloat16, slow on most CPUs.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn


class Muon(torch.optim.Optimizer):
    """Update matrices by their orthogonalised momentum.

    Args:
        params: Matrices (out, in) of hidden layers.
        lr: Learning rate, on AdamW's scale.
        momentum: Nesterov's.
        weight_decay: Decoupled.
    """

    def __init__(self, params: Iterable[nn.Parameter], lr: float, momentum: float = 0.95,
                 weight_decay: float = 0.01):
        super().__init__(params, dict(lr=lr, momentum=momentum, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self) -> None:
        """Make one step."""
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[tuple[nn.Parameter, Tensor]]] = {}
            for p in group["params"]:
                buffer = self.state[p].setdefault("momentum", torch.zeros_like(p))
                buffer.lerp_(p.grad, 1 - group["momentum"])
                by_shape.setdefault(p.shape, []).append(
                    (p, p.grad.lerp(buffer, group["momentum"])))
            for shape, found in by_shape.items():
                updates = orthogonalize(torch.stack([update for _, update in found]))
                for (p, _), update in zip(found, updates, strict=True):
                    p.mul_(1 - group["lr"] * group["weight_decay"])
                    p.add_(update, alpha=-0.2 * group["lr"] * max(shape) ** 0.5)


def orthogonalize(matrices: Tensor, steps: int = 5) -> Tensor:
    """Move the singular values of (N, rows, columns) towards 1, by Newton and Schulz."""
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(steps):
        square = x @ x.mT
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return x.mT if tall else x
