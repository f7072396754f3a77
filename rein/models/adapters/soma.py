"""SoMA: a low-rank change that starts from the weights' smallest singular components.

Source: Yun et al., SoMA: Singular Value Decomposed Minor Components Adaptation for Domain
Generalizable Representation Learning, CVPR 2025, arXiv:2412.04077.
"""

import re
from collections.abc import Sequence
from typing import Annotated

import torch
from mmseg.registry import MODELS
from torch import Tensor, nn

from rein.errors import UserError
from rein.models.adapters.lora import LoRA
from rein.models.adapters.projections import Projection
from rein.models.arguments import refuse_unknown
from rein.values import COUNT, POSITIVE

_RAMP = ((20, 8), (16, 4), (12, 2))  # first block, factor of the rank


@MODELS.register_module()
class SoMA(LoRA):
    """Trains r singular components of each weight, and its bias (arXiv:2412.04077).

    With W = U S V^T and the r smallest (or largest) components, A0 = sqrt(S / s) V^T and
    B0 = U sqrt(S / s), s = alpha / r. A and B start as A0 and B0:

        y = W x + b + s (B A - B0 A0) x

    so the network starts as the frozen one. `fold` gives s (B A - B0 A0) and the biases' changes.

    A0 and B0 are saved beside A and B (`lora_A0`, `lora_B0`). Files of the published program have
    none. It takes the singular values before the pretrained weights are loaded, and these then
    overwrite what it stored, so its files mean W + s B A: A0 and B0 are read as zero. An
    adapter-only file that follows the paper means the formula above: `from_paper=True`.

    Args:
        rank (int): Rank r.
        alpha (float, optional): Numerator of the scale s; None: r, so that s = 1.
        targets (str | Sequence[str]): Linear layers to change; see `find_projections`.
        blocks (Sequence[int], optional): First block and the one after the last; None: all.
        first_eigen (bool): Start from the largest components instead of the smallest.
        weight_init (str): "sora" for the exact decomposition, or "sora_niter_K" for a randomised
            one with K iterations, which finds the largest components whatever `first_eigen` says.
        rank_ramp (bool): Double the rank from block 12, and again from 16 and from 20.
        from_paper (bool): How to read adapter-only files without A0 and B0.
        **kwargs: None; others are refused.

    Raises:
        UserError: `weight_init` is unknown, or dropout is set, which would have no effect.
    """

    def __init__(
        self,
        rank: Annotated[int, COUNT] = 16,
        alpha: Annotated[float | None, POSITIVE] = None,
        targets: str | Sequence[str] = ("q", "k", "v", "proj", "fc1", "fc2"),
        blocks: Sequence[int] | None = None,
        first_eigen: bool = False,
        weight_init: str = "sora",
        rank_ramp: bool = False,
        from_paper: bool = False,
        **kwargs,
    ) -> None:
        if kwargs.get("dropout"):
            raise UserError(f"SoMA: dropout={kwargs['dropout']} has no effect; set it to 0.")
        super().__init__(rank, alpha, targets, blocks, **kwargs)
        found = re.fullmatch(r"sora(?:_niter_(\d+))?", str(weight_init))
        if found is None:
            raise UserError(f"SoMA: weight_init={weight_init!r} is unknown; known: 'sora', "
                            "'sora_niter_K' with a number K.")
        self.iterations = None if found.group(1) is None else int(found.group(1))
        self.first_eigen = first_eigen
        self.rank_ramp = rank_ramp
        self.from_paper = from_paper
        self.register_load_state_dict_pre_hook(_keep_start)

    def rank_of(self, projection: Projection) -> int:
        """Return the rank for one projection."""
        factors = (factor for first, factor in _RAMP if projection.block >= first)
        return self.rank * (next(factors, 1) if self.rank_ramp else 1)

    def create(self, projection: Projection) -> nn.Module:
        """Create A, B, A0, B0 and the change of the bias for one projection."""
        rank, rows = self.rank_of(projection), projection.stop - projection.start
        if rank > min(rows, projection.layer.in_features):
            raise UserError(
                f"SoMA: rank={rank}, but the weight of {projection.name}, {rows} x "
                f"{projection.layer.in_features}, has fewer singular components. Reduce the rank.")
        part = super().create(projection)
        part.register_buffer("lora_A0", torch.zeros_like(part.lora_A.weight))
        part.register_buffer("lora_B0", torch.zeros_like(part.lora_B.weight))
        part.bias = None if projection.layer.bias is None else nn.Parameter(
            torch.zeros(rows))
        return part

    @torch.no_grad()
    def on_pretrained(self) -> None:
        """Start all factors from the singular components of the pretrained weights."""
        for projection in self.projections:
            weight = projection.layer.weight[projection.start:projection.stop].float()
            self._start(self.part(projection), weight, self.scale_of(projection))

    def _start(self, part: nn.Module, weight: Tensor, scale: float) -> None:
        rank = part.lora_A.weight.shape[0]
        if self.iterations is None:
            left, values, right = torch.linalg.svd(weight, full_matrices=False)
            chosen = slice(rank) if self.first_eigen else slice(-rank, None)
            left, values, right = left[:, chosen], values[chosen], right[chosen]
        else:
            left, values, right = torch.svd_lowrank(weight, q=rank, niter=self.iterations)
            right = right.T
        root = (values / scale).sqrt()
        part.lora_A0.copy_(root[:, None] * right)
        part.lora_B0.copy_(left * root)
        part.lora_A.weight.copy_(part.lora_A0)
        part.lora_B.weight.copy_(part.lora_B0)

    def change(
        self, projection: Projection, layer: nn.Module, x: Tensor, output: Tensor,
    ) -> Tensor:
        """Change one projection's output; see `LoRA.change`."""
        part = self.part(projection)
        start = nn.functional.linear(nn.functional.linear(x, part.lora_A0), part.lora_B0)
        output = output + self.scale_of(projection) * (part(x) - start)
        return output if part.bias is None else output + part.bias

    def weight_change(self, projection: Projection, weight: Tensor) -> Tensor:
        """Return s (B A - B0 A0) for one projection."""
        part = self.part(projection)
        return self.scale_of(projection) * (part.product() - part.lora_B0 @ part.lora_A0)

    @torch.no_grad()
    def fold(self) -> dict[str, Tensor]:
        """Return the changes of all weights and biases; see `Adapter.fold`."""
        deltas = super().fold()
        for projection in self.projections:
            part = self.part(projection)
            if part.bias is not None:
                name, bias = f"{projection.layer_name}.bias", projection.layer.bias
                deltas.setdefault(name, torch.zeros_like(bias))
                deltas[name][projection.start:projection.stop] += part.bias
        return deltas


def soma_config(lora_cfg: dict, depth: int) -> dict:
    """Translate the published program's `lora_cfg` to an adapter's config.

    Args:
        lora_cfg: `type='sora'`, `r`, `lora_alpha`, `target_modules`, `start_lora_idx`,
            `first_eigen`, `lora_weight_init`, `rank_ramp`, `lora_dropout`.
        depth: Blocks of the backbone.

    Raises:
        UserError: The type is another one, a key is unknown, or dropout is set, which the
            published program ignores.
    """
    given = dict(lora_cfg)
    if given.pop("type", "sora") != "sora":
        raise UserError(f"lora_cfg: type {lora_cfg['type']!r} is unknown; known: 'sora'. Other "
                        "adapters: reins_config=dict(type='LoRA', ...).")
    if given.pop("lora_dropout", 0):
        raise UserError("lora_cfg: lora_dropout has no effect in SoMA; set it to 0.")
    names = dict(r="rank", lora_alpha="alpha", target_modules="targets",
                 lora_weight_init="weight_init", first_eigen="first_eigen", rank_ramp="rank_ramp")
    refuse_unknown("lora_cfg", given, {*names, "start_lora_idx"})
    start = given.pop("start_lora_idx", 0)
    # the published default is the randomised decomposition; peft's number of iterations
    return dict(type="SoMA", blocks=(start, depth), weight_init=given.pop(
        "lora_weight_init", "sora_niter_4"), **{names[key]: v for key, v in given.items()})


def _keep_start(adapter: SoMA, state_dict: dict[str, Tensor], prefix: str, *unused) -> None:
    """Keep A0 and B0 where a paper's adapter-only file has none, in place (a load pre-hook)."""
    network = f"{prefix.removesuffix('reins.')}model."
    for projection in adapter.projections if adapter.from_paper else ():
        if f"{network}{projection.layer_name}.weight" in state_dict:
            continue  # a whole network: its weights lack the start's components already
        for name in ("lora_A0", "lora_B0"):
            value = state_dict.get(f"{prefix}{projection.name}.{name}")
            if value is not None and not value.any():
                state_dict[f"{prefix}{projection.name}.{name}"] = getattr(
                    adapter.part(projection), name).clone()
