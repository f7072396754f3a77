"""LoRA and DoRA: changes of low rank to the frozen network's linear layers.

Sources: Hu et al., LoRA, arXiv:2106.09685; Liu et al., DoRA, arXiv:2402.09353.
"""

import math
from collections.abc import Sequence
from functools import partial
from itertools import groupby
from typing import Annotated

import torch
from mmseg.registry import MODELS
from torch import Tensor, nn

from rein.errors import UserError
from rein.models.adapters.base import Adapter, add_module, refuse_uncalled
from rein.models.adapters.projections import Projection, find_projections
from rein.values import COUNT, DROPOUT, POSITIVE


class LowRank(nn.Module):
    """The factors of a change B A of a weight (out, in).

    Args:
        in_features (int): Width of the input.
        out_features (int): Width of the output.
        rank (int): Rank r.
    """

    def __init__(self, in_features: int, out_features: int, rank: int) -> None:
        super().__init__()
        self.lora_A = nn.Linear(in_features, rank, bias=False)
        self.lora_B = nn.Linear(rank, out_features, bias=False)
        nn.init.kaiming_uniform_(self.lora_A.weight, a=math.sqrt(5))
        nn.init.zeros_(self.lora_B.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Map x (..., in) to B A x (..., out)."""
        return self.lora_B(self.lora_A(x))

    def product(self) -> Tensor:
        """Return B A, (out, in)."""
        return self.lora_B.weight @ self.lora_A.weight


@MODELS.register_module()
class LoRA(Adapter):
    """Adds s B A x to the output W x + b of linear layers, s = alpha / r (arXiv:2106.09685).

    A starts random and B at zero, so the network starts as the frozen one. `fold` gives s B A.

    Args:
        rank (int): Rank r.
        alpha (float, optional): Numerator of the scale s; None: r, so that s = 1.
        targets (str | Sequence[str]): Linear layers to change; see `find_projections`.
        blocks (Sequence[int], optional): First block and the one after the last; None: all.
        dropout (float): Probability of dropping each input of A in training.
        **kwargs: None; others are refused.

    Raises:
        UserError: A target is in no block, or the network never calls a layer.
    """

    def __init__(
        self,
        rank: Annotated[int, COUNT] = 8,
        alpha: Annotated[float | None, POSITIVE] = None,
        targets: str | Sequence[str] = ("q", "v"),
        blocks: Sequence[int] | None = None,
        dropout: Annotated[float, DROPOUT] = 0.0,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.rank = rank
        self.alpha = rank if alpha is None else alpha
        self.targets = targets
        self.blocks_range = blocks
        self.dropout = nn.Dropout(dropout)
        self.projections: list[Projection] = []  # a list hides the frozen layers from PyTorch
        self._called: set[str] = set()

    def attach(
        self, network: nn.Module, stages: Sequence[Sequence[nn.Module]], num_prefix_tokens: int,
    ) -> None:
        """Hook onto the target layers; see `Adapter.attach`."""
        stages[0][0].register_forward_hook(self._note_pass)
        self.projections = find_projections(network, stages, self.targets, self.blocks_range)
        for name, group in groupby(self.projections, key=lambda p: p.layer_name):
            members = list(group)
            for projection in members:
                add_module(self, projection.name, self.create(projection))
            members[0].layer.register_forward_hook(partial(self._change_output, name, members))

    def create(self, projection: Projection) -> nn.Module:
        """Create the parameters for one projection."""
        return LowRank(projection.layer.in_features, projection.stop - projection.start,
                       self.rank_of(projection))

    def rank_of(self, projection: Projection) -> int:
        """Return the rank for one projection."""
        return self.rank

    def scale_of(self, projection: Projection) -> float:
        """Return s for one projection."""
        return self.alpha / self.rank_of(projection)

    def part(self, projection: Projection) -> nn.Module:
        """Return the parameters for one projection."""
        return self.get_submodule(projection.name)

    def _change_output(
        self, name: str, members: list[Projection], layer: nn.Module, args: tuple, output: Tensor,
    ) -> Tensor:
        """Change a layer's output (..., out), (a forward hook)."""
        self._called.add(name)
        pieces, done = [], 0
        for projection in members:
            pieces.append(output[..., done:projection.start])
            pieces.append(self.change(
                projection, layer, args[0], output[..., projection.start:projection.stop]))
            done = projection.stop
        pieces.append(output[..., done:])
        pieces = [piece for piece in pieces if piece.shape[-1]]
        return pieces[0] if len(pieces) == 1 else torch.cat(pieces, dim=-1)

    def _note_pass(self, *unused) -> None:
        """Note that the network ran (a forward hook on the first block)."""
        self._called.add("")

    def change(
        self, projection: Projection, layer: nn.Module, x: Tensor, output: Tensor,
    ) -> Tensor:
        """Change one projection's output (..., out), given the layer's input x (..., in)."""
        return output + self.scale_of(projection) * self.part(projection)(self.dropout(x))

    def queries(self) -> Tensor | None:
        """Return None, after a check that the network called every target layer."""
        refuse_uncalled(type(self).__name__, [p.layer_name for p in self.projections],
                        self._called, "`targets` or `blocks`")
        return None

    def weight_change(self, projection: Projection, weight: Tensor) -> Tensor:
        """Return the change of one projection's weight (out, in)."""
        return self.scale_of(projection) * self.part(projection).product()

    @torch.no_grad()
    def fold(self) -> dict[str, Tensor]:
        """Return the changes of all weights; see `Adapter.fold`."""
        deltas: dict[str, Tensor] = {}
        for projection in self.projections:
            weight = projection.layer.weight
            delta = deltas.setdefault(f"{projection.layer_name}.weight", torch.zeros_like(weight))
            rows = slice(projection.start, projection.stop)
            delta[rows] += self.weight_change(projection, weight[rows])
        return deltas


@MODELS.register_module()
class DoRA(LoRA):
    """LoRA whose weight rows have learned magnitudes (arXiv:2402.09353).

    W' = diag(m) V / ||V||, V = W + s B A, with the norm of each row, through which no gradient
    flows (section 4.3). m starts as the norms of W, so the network starts as the frozen one.

    Args:
        **kwargs: As for `LoRA`.
    """

    def create(self, projection: Projection) -> nn.Module:
        """Create the factors and the magnitudes `magnitude` (out,) of one projection."""
        part = super().create(projection)
        part.magnitude = nn.Parameter(torch.ones(projection.stop - projection.start))
        return part

    @torch.no_grad()
    def on_pretrained(self) -> None:
        """Start the magnitudes from the norms of the pretrained weights."""
        for projection in self.projections:
            weight = projection.layer.weight[projection.start:projection.stop]
            self.part(projection).magnitude.copy_(weight.float().norm(dim=1))

    def change(
        self, projection: Projection, layer: nn.Module, x: Tensor, output: Tensor,
    ) -> Tensor:
        """Change one projection's output; see `LoRA.change`."""
        if not layer.weight.is_floating_point():
            raise UserError("DoRA reads the frozen weights, which int8 rounds. Omit int8, or fold "
                            "the adapter into the backbone first.")
        rows, scale = slice(projection.start, projection.stop), self.scale_of(projection)
        part = self.part(projection)
        bias = 0 if layer.bias is None else layer.bias[rows]
        ratio = self._ratio(part, layer.weight[rows], scale)
        return ratio * (output - bias + scale * part(self.dropout(x))) + bias

    def _ratio(self, part: nn.Module, weight: Tensor, scale: float) -> Tensor:
        """Return m / ||V||, (out,), with the norm in float32, also in autocast."""
        # autocast would round V, and may keep casts of A and B without history for part(x)
        with torch.no_grad(), torch.autocast(weight.device.type, enabled=False):
            product = part.lora_B.weight.float() @ part.lora_A.weight.float()
            norm = (weight.float() + scale * product).norm(dim=1)
        return part.magnitude / norm.to(part.magnitude.dtype)

    def weight_change(self, projection: Projection, weight: Tensor) -> Tensor:
        """Return W' - W for one projection."""
        part, scale = self.part(projection), self.scale_of(projection)
        ratio = self._ratio(part, weight, scale)[:, None]
        return ratio * (weight + scale * part.product()) - weight
