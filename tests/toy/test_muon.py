"""Muon: orthogonal updates that descend."""

import torch
from torch import nn

from toy.pretraining.muon import Muon, orthogonalize


def test_singular_values_move_to_one():
    torch.manual_seed(0)
    for shape in ((2, 24, 8), (2, 8, 24)):
        values = torch.linalg.svdvals(orthogonalize(torch.randn(shape)))
        assert 0.5 < values.min() and values.max() < 1.4


def test_it_fits_a_linear_map():
    torch.manual_seed(0)
    x, truth = torch.randn(64, 8), torch.randn(8, 4)
    linear = nn.Linear(8, 4, bias=False)
    optimizer, losses = Muon([linear.weight], 0.3), []
    for _ in range(60):
        loss = (linear(x) - x @ truth).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]
