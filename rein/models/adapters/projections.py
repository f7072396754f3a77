"""Find the linear layers of a frozen network that an adapter changes.

A layer that joins several projections, as timm's `attn.qkv` does, counts as three: q, k and v are
rows of its weight. Names are therefore the same for networks that join them and for those that
do not: `blocks.3.attn.q`.
"""

import re
from collections.abc import Sequence
from numbers import Integral
from typing import Any, NamedTuple

from torch import nn

from rein.errors import UserError

_JOINED = ("q", "k", "v")


class Projection(NamedTuple):
    """A linear map of the frozen network.

    Attributes:
        name: Such as "blocks.3.attn.q" or "blocks.3.mlp.fc1".
        layer_name: Module that computes it, such as "blocks.3.attn.qkv".
        layer: That module.
        start: First row of its weight.
        stop: Row after the last one.
        block: Index of the block, counted over all stages.
    """

    name: str
    layer_name: str
    layer: nn.Linear
    start: int
    stop: int
    block: int

    @property
    def whole(self) -> bool:
        """Whether it is the whole layer."""
        return self.stop - self.start == self.layer.out_features


def find_projections(
    network: nn.Module,
    stages: Sequence[Sequence[nn.Module]],
    targets: str | Sequence[str],
    blocks: Sequence[int] | None = None,
) -> list[Projection]:
    """Find the linear maps inside a network's blocks by name.

    Args:
        network: timm's network.
        stages: Its blocks by stage.
        targets: Last parts of names, such as `("q", "v")`; "q" also finds `q_proj`. A string is a
            regular expression for the whole name; of a joined layer it means the parts, if it
            matches these and the whole.
        blocks: First block and the block after the last one; None: all blocks.

    Returns:
        The projections in the network's order.

    Raises:
        UserError: A target is in no block; the message lists the known names. Or names overlap,
            such as "q" and "qkv".
    """
    names = {module: name for name, module in network.named_modules()}
    flat = [block for stage in stages for block in stage]
    first, last = (0, len(flat)) if blocks is None else _range(blocks, len(flat))
    inside = [projection for index in range(first, last)
              for projection in _projections(names[flat[index]], flat[index], index)]
    if not inside:
        raise UserError(f"the blocks of {type(network).__name__} have no linear layers, which this "
                        "adapter changes. Choose another, such as LoRAReins or BitFit.")
    entries = _entries(targets)
    found = [projection for projection in inside if _matches(projection.name, targets)]
    missing = [entry for entry in entries if not any(
        _matches(p.name, entry if isinstance(targets, str) else [entry]) for p in inside)]
    if missing or not found:
        raise UserError(_unknown(targets, missing, inside))
    return _without_overlap(found, targets)


def _unknown(targets: str | Sequence[str], missing: list[str], inside: list[Projection]) -> str:
    """Return the message for targets that are in no block."""
    known = sorted({p.name.rpartition(".")[2] for p in inside})
    message = f"targets {missing}: the backbone's blocks have no such linear layer."
    if isinstance(targets, str):
        example = targets if targets in known else known[0]
        message = (f"targets={targets!r} matches no linear layer of the backbone's blocks. A "
                   "string is a regular expression for the whole name, such as "
                   f"{inside[0].name!r}. For the last parts of names, write a list, "
                   f"targets=[{example!r}].")
    return f"{message} Known: {', '.join(known)}."


def _without_overlap(found: list[Projection], targets: str | Sequence[str]) -> list[Projection]:
    """Leave out whole layers of which a regular expression also matches parts."""
    parts = {p.layer_name: p.name for p in found if not p.whole}
    twice = [p for p in found if p.whole and p.layer_name in parts]
    if twice and not isinstance(targets, str):
        raise UserError(f"targets {list(targets)} name both {twice[0].name} and its part "
                        f"{parts[twice[0].name]}. Name the whole layer or its parts.")
    return [p for p in found if p not in twice]


def _range(blocks: Any, count: int) -> tuple[int, int]:
    """Return the first of `count` blocks to change, and the one after the last."""
    given = tuple(blocks) if isinstance(blocks, list | tuple) else blocks
    is_pair = isinstance(given, tuple) and len(given) == 2 and all(
        isinstance(index, Integral) for index in given)
    if not is_pair or not 0 <= given[0] < given[1] <= count:
        raise UserError(f"blocks={given!r}: the backbone has blocks 0 to {count - 1}; "
                        f"name the first and the one after the last, at most {count}.")
    return given


def _entries(targets: Any) -> list[str]:
    """Return the targets as a list: names, or one regular expression."""
    entries = [targets] if isinstance(targets, str) else targets
    if not isinstance(entries, list | tuple) or not all(isinstance(one, str) for one in entries):
        raise UserError(f"targets={targets!r}: expected names of linear layers such as ('q', 'v'), "
                        "or one regular expression.")
    try:
        re.compile(targets if isinstance(targets, str) else "")
    except re.error as error:
        raise UserError(
            f"targets={targets!r} is not a valid regular expression ({error}).") from None
    return list(entries)


def _projections(prefix: str, block: nn.Module, index: int) -> list[Projection]:
    """List the linear maps of a block; joined ones as a whole and by part."""
    found = []
    for name, layer in block.named_modules():
        if not isinstance(layer, nn.Linear):
            continue
        full, rows = f"{prefix}.{name}", layer.out_features
        if full.endswith(".qkv") and rows % 3 == 0:
            size = rows // 3
            found += [Projection(f"{full[:-3]}{part}", full, layer, i * size, (i + 1) * size, index)
                      for i, part in enumerate(_JOINED)]
        found.append(Projection(full, full, layer, 0, rows, index))
    return found


def _matches(name: str, targets: str | Sequence[str]) -> bool:
    if isinstance(targets, str):
        return re.fullmatch(targets, name) is not None
    last = name.rpartition(".")[2]
    return any(last in (target, f"{target}_proj") or name.endswith(f".{target}")
               for target in targets)
