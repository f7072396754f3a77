"""The interface between a frozen network and its few trainable parameters."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import NamedTuple

from torch import Tensor, nn

from rein.errors import UserError, one_line
from rein.models.arguments import known_arguments, refuse_unknown
from rein.models.pyramid import MaskQueries
from rein.models.stages import Stage, block_index


class Adapter(nn.Module):
    """All trainable parameters of a backbone; acts on the frozen network through hooks only.

    The network's parameter names therefore never change, and saving, splitting, merging and
    fingerprinting work the same for every adapter. Checkpoints hold all its parameters, also frozen
    ones, and its buffers. Hooks are bound methods of the adapter, or partials of them, so that a
    deep copy of the backbone gets its own hooks.

    With `ONE_PER_STAGE`, a staged network gets one adapter for each stage. `num_layers`,
    `embed_dims` and `patch_size`, if `__init__` takes them, come from the network.

    Args:
        **unknown: Arguments that a subclass's `__init__` does not take; must be empty.

    Raises:
        UserError: An argument is unknown.
    """

    ONE_PER_STAGE = False
    SAVED_WHOLE = True  # see `trained_state_dict`

    def __init__(self, **unknown) -> None:
        super().__init__()
        refuse_unknown(type(self).__name__, unknown, known_arguments(type(self), Adapter))

    def attach(
        self, network: nn.Module, stages: Sequence[Stage], num_prefix_tokens: int,
    ) -> None:
        """Register hooks on the frozen network; called once, before its weights are loaded.

        Args:
            network: timm's network. Keep no reference to it: it would become a submodule.
            stages: Its blocks in order, by stage; a plain vision transformer is one stage. With
                `ONE_PER_STAGE`, the adapter's stage alone.
            num_prefix_tokens: Tokens before the patches: class token and registers.

        Raises:
            UserError: The adapter does not fit the network, or a subclass lacks this method.
        """
        raise UserError(f"{type(self).__name__} has no method `attach`, which registers its hooks "
                        "on the network. Define it; see docs/extending_adapter.md.")

    def on_pretrained(self) -> None:
        """Initialise parameters that depend on the pretrained weights; called after loading."""

    def queries(self) -> Tensor | tuple[MaskQueries, ...] | None:
        """Return queries for the decode head, (m, q) or (B, m, q), or `MaskQueries`, or None."""
        return None

    def fold(self) -> dict[str, Tensor]:
        """Return weight deltas by frozen parameter; added to these, they replace the adapter.

        Empty for adapters that do not amount to a change of weights.
        """
        return {}

    def load_state_dict(self, state_dict: Mapping[str, Tensor], *args, **kwargs) -> NamedTuple:
        """Load the adapter's own weights; see `torch.nn.Module.load_state_dict`.

        Raises:
            UserError: They do not fit.
        """
        try:
            return super().load_state_dict(state_dict, *args, **kwargs)
        except RuntimeError as error:
            raise UserError(
                f"{type(self).__name__}: these weights do not fit. Expected the `state_dict()` of "
                "an adapter of the same type, options and network, not a checkpoint of a whole "
                f"model. {one_line(error)}") from None

    def block_of(self, name: str, blocks: Sequence[str]) -> int | None:
        """Return the index of the block to which a parameter belongs; None: to no single one.

        Args:
            name: The parameter's name in this adapter. By default, a block's name in it decides.
            blocks: Names of all the network's blocks in order.
        """
        return block_index(name, blocks)


def add_module(owner: nn.Module, name: str, module: nn.Module) -> None:
    """Add a submodule under a dotted name; its parents are created if missing."""
    *parents, last = name.split(".")
    for parent in parents:
        if not hasattr(owner, parent):
            owner.add_module(parent, nn.Module())
        owner = getattr(owner, parent)
    owner.add_module(last, module)


def parts_of(adapter: Adapter) -> list[Adapter]:
    """Return the adapters that one consists of; itself alone if it holds no others."""
    inner = [part for child in adapter.modules() if child is not adapter
             and isinstance(child, Adapter) for part in parts_of(child)]
    return list(dict.fromkeys(inner)) or [adapter]


def owner_of(hook: Callable | None) -> nn.Module | None:
    """Return the adapter of which a hook is a bound method or a partial of one."""
    owner = getattr(getattr(hook, "func", hook), "__self__", None)
    return owner if isinstance(owner, nn.Module) else None


@contextmanager
def switched_off(network: nn.Module, adapter: Adapter) -> Iterator[None]:
    """Let a network compute without its adapter within the block.

    Raises:
        UserError: The adapter acts not only through hooks.
    """
    parts, before = set(adapter.modules()), []
    prefix = getattr(network, "num_prefix_tokens", 0)
    for name, module in network.named_modules():
        if "forward" in vars(module) or getattr(module, "num_prefix_tokens", prefix) != prefix:
            raise UserError(f"{type(adapter).__name__} changes {name}, so it cannot be switched "
                            "off. Build the network without it instead.")
    for module in network.modules():
        for hooks in (module._forward_pre_hooks, module._forward_hooks):
            before.append((hooks, dict(hooks)))
            for key, hook in before[-1][1].items():
                if owner_of(hook) in parts:
                    del hooks[key]
    try:
        yield
    finally:
        for hooks, all_hooks in before:
            hooks.clear()
            hooks.update(all_hooks)


def refuse_uncalled(
    owner: str, layers: Iterable[str], called: set[str], arguments: str,
) -> None:
    """Raise if a forward pass did not call all layers that an adapter changes.

    Args:
        owner: The adapter's type name.
        layers: Names of the layers.
        called: Names of those called so far; empty before the first pass, which adds "".
        arguments: The config's arguments that choose layers, for the message.

    Raises:
        UserError: A layer was not called.
    """
    silent = sorted({*layers} - called)
    if silent and called:
        raise UserError(
            f"{owner}: the network does not call {silent[0]} (of {len(silent)} such layers), so "
            "nothing would be learned there. It may read the weight directly: choose other "
            f"{arguments}.")


def refuse_unused(
    network: nn.Module, adapter: Adapter, unused: Iterable[nn.Module], maps: str,
) -> None:
    """Raise if an adapter acts on blocks that the network does not run.

    Args:
        network: The network.
        adapter: Its adapter, attached.
        unused: Blocks after the last map.
        maps: Names the maps that are taken, for the message.

    Raises:
        UserError: The adapter acts on one of these blocks.
    """
    parts = set(adapter.modules())
    names = {module: name for name, module in network.named_modules()}
    for module in chain.from_iterable(block.modules() for block in unused):
        for hook in (*module._forward_pre_hooks.values(), *module._forward_hooks.values(),
                     vars(module).get("forward")):
            if (owner := owner_of(hook)) in parts:
                raise UserError(
                    f"{type(owner).__name__} changes {names[module]}, after the last map of "
                    f"{maps}, so nothing would be learned there. Name the last one in "
                    "out_indices, or let the adapter change earlier blocks only.")
