"""Rename a backbone's parameters between memory and checkpoints, in both directions.

In memory, a backbone holds `model` (timm's network) and `reins` (the adapter). Checkpoints use no
`model.` prefix, and the names of the backbone's `naming`: the published project's for published
types, DINOv2's own for DINOv2, otherwise timm's.
"""

from collections.abc import MutableMapping

from torch import Tensor, nn

from rein.checkpoint import EXTRA_BACKBONE_KEYS
from rein.checkpoint.families import matches

IN_MEMORY = "model."


def to_published(
    module: nn.Module, state_dict: MutableMapping[str, Tensor], prefix: str, metadata: dict,
) -> None:
    """Rename a backbone's new state dict to published names, in place (a post-hook)."""
    inner = prefix + IN_MEMORY
    weights = {name.removeprefix(inner): state_dict.pop(name)
               for name in list(state_dict) if name.startswith(inner)}
    ours, train = {id(value) for value in weights.values()}, any(
        value.requires_grad for value in weights.values())
    for name, value in module.naming.from_timm(weights).items():
        if id(value) not in ours:  # a changed value trains as the network does
            value = nn.Parameter(value.detach(), train)
        state_dict[prefix + name] = value


def from_published(
    module: nn.Module, state_dict: MutableMapping[str, Tensor], prefix: str, *unused,
) -> None:
    """Rename a file's entries to the names in memory, in place (a load pre-hook)."""
    own = tuple(f"{name}." for name, _ in module.named_children())  # network, adapter, output norms
    weights = {}
    for name in [name for name in state_dict if name.startswith(prefix)]:
        short = name.removeprefix(prefix)
        if not short.startswith(own):
            weights[short] = state_dict.pop(name)
    expected = module.model.state_dict().keys()
    for name, value in module.naming.to_timm(weights).items():
        if name in expected or not matches(name, EXTRA_BACKBONE_KEYS):
            state_dict[prefix + IN_MEMORY + name] = value
