"""Adapters as a user may write them, right and wrong."""

import torch
from torch import nn

from rein.models.adapters import Adapter


class Scales(Adapter):
    """Scales the output of each block."""

    def __init__(self, num_layers, embed_dims, **kwargs):
        super().__init__(**kwargs)
        self.scales = nn.Parameter(torch.ones(num_layers, embed_dims))

    def attach(self, network, stages, num_prefix_tokens):
        self.blocks = {block: index for index, block in enumerate(stages[0])}
        for block in self.blocks:
            block.register_forward_hook(self._scale)

    def _scale(self, block, args, output):
        return output * self.scales[self.blocks[block]]


class Vera(Scales):
    """Mixes channels by a frozen random matrix, a parameter, and shifts by a frozen buffer."""

    def __init__(self, embed_dims, **kwargs):
        super().__init__(embed_dims=embed_dims, **kwargs)
        self.mix = nn.Parameter(torch.randn(embed_dims, embed_dims), requires_grad=False)
        self.shift = nn.BatchNorm1d(embed_dims).requires_grad_(False)
        nn.init.normal_(self.shift.running_mean)

    def _scale(self, block, args, output):
        return output + (output @ self.mix - self.shift.running_mean) * self.scales[
            self.blocks[block]]
