"""AdaptFormer: a bottleneck in parallel to each feed-forward network.

Source: Chen et al., AdaptFormer, arXiv:2205.13535.
"""

import math
from collections.abc import Sequence
from functools import partial
from typing import Annotated

import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor, nn

from rein.errors import UserError
from rein.models.adapters.base import Adapter
from rein.values import COUNT, DROPOUT, POSITIVE


@MODELS.register_module()
class AdaptFormer(Adapter):
    """Adds s up(relu(down(z))) to the feed-forward network's output MLP(z).

    z is its normalised input. `up` starts at zero, so the network starts as the frozen one. In a
    network with layer scale, that scales the sum.

    Args:
        hidden_dims (int): Width of the bottleneck.
        scale (float): s.
        dropout (float): Probability of dropping a value in the bottleneck in training.
        **kwargs: None; others are refused.

    Raises:
        UserError: A block has no `mlp` with a linear `fc2`.
    """

    def __init__(
        self,
        hidden_dims: Annotated[int, COUNT] = 64,
        scale: Annotated[float, POSITIVE] = 0.1,
        dropout: Annotated[float, DROPOUT] = 0.0,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.hidden_dims = hidden_dims
        self.scale = scale
        self.dropout = nn.Dropout(dropout)

    def attach(
        self, network: nn.Module, stages: Sequence[Sequence[nn.Module]], num_prefix_tokens: int,
    ) -> None:
        """Hook onto the feed-forward network of every block; see `Adapter.attach`."""
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for stage in stages:
            for block in stage:
                mlp = getattr(block, "mlp", None)
                last = getattr(mlp, "fc2", None)
                if not isinstance(last, nn.Linear):
                    raise UserError(
                        "AdaptFormer needs a feed-forward network `mlp` in every block; "
                        f"{type(block).__name__} has no `mlp` with a linear `fc2`.")
                mlp.register_forward_hook(partial(self._add, len(self.down)))
                self.down.append(nn.Linear(last.out_features, self.hidden_dims))
                self.up.append(nn.Linear(self.hidden_dims, last.out_features))
        for down, up in zip(self.down, self.up, strict=True):
            nn.init.kaiming_uniform_(down.weight, a=math.sqrt(5))
            nn.init.zeros_(down.bias)
            nn.init.zeros_(up.weight)
            nn.init.zeros_(up.bias)

    def block_of(self, name: str, blocks: Sequence[str]) -> int:
        """Return the index of a parameter's block; see `Adapter.block_of`."""
        # `down.I.weight`: numbers leave out the blocks before stride 4
        return len(blocks) - len(self.down) + int(name.split(".")[1])

    def _add(self, index: int, mlp: nn.Module, args: tuple, output: Tensor) -> Tensor:
        """Add the bottleneck's output to MLP(z) (..., c), (a forward hook)."""
        hidden = self.dropout(F.relu(self.down[index](args[0])))
        return output + self.scale * self.up[index](hidden)
