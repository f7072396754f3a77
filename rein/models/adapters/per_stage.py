"""Build adapters with a network's sizes; staged networks get one for each stage.

Source: Wei et al., arXiv:2312.04265, whose project refines ConvNeXt and ResNet this way.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from mmseg.registry import MODELS
from torch import Tensor, nn

from rein.errors import UserError
from rein.models.adapters.author_checks import (
    attach,
    building_adapter,
    queries_of,
    refuse_unbuilt,
)
from rein.models.adapters.base import Adapter, refuse_unused
from rein.models.adapters.combined import Combined
from rein.models.arguments import check_arguments, known_arguments
from rein.models.stages import STRIDES, Stage, maps_of, stages_of

PUBLISHED_PATCH = 16
"""Patch side, in pixels, that published adapters of staged networks assume."""


class StageAdapters(Adapter):
    """One adapter for each stage; parameters are named `0.*`, `1.*` and so on.

    Args:
        adapters (Iterable[Adapter]): One per stage, in order.
        outputs (Collection[int]): Stages, by index, whose queries count.
    """

    def __init__(self, adapters: Iterable[Adapter], outputs: Collection[int]) -> None:
        super().__init__()
        for index, adapter in enumerate(adapters):
            self.add_module(str(index), adapter)
        self.outputs = tuple(outputs)

    def attach(
        self, network: nn.Module, stages: Sequence[Stage], num_prefix_tokens: int,
    ) -> None:
        """Attach each adapter to its stage; see `Adapter.attach`."""
        for adapter, stage in zip(self.children(), stages, strict=True):
            attach(adapter, network, [stage], num_prefix_tokens)

    def on_pretrained(self) -> None:
        """Initialise every adapter; see `Adapter.on_pretrained`."""
        for adapter in self.children():
            adapter.on_pretrained()

    def queries(self) -> Tensor | None:
        """Return the sum of the queries of the stages that give maps, (m, q), or None."""
        adapters = list(self.children())
        found = [queries_of(adapters[index]) for index in self.outputs]
        return None if any(queries is None for queries in found) else sum(found)

    def fold(self) -> dict[str, Tensor]:
        """Return the weight deltas of all adapters; see `Adapter.fold`."""
        return {
            name: delta
            for adapter in self.children() for name, delta in adapter.fold().items()}


def attached_adapter(
    network: nn.Module,
    config: Mapping,
    levels: Collection[int] | None = None,
    distinct: Sequence[Mapping] | None = None,
) -> Adapter:
    """Build an adapter for a network of timm and attach it.

    Args:
        network: The network.
        config: The adapter.
        levels: The maps that are taken, by `Stage.level`; by block in a plain network. None: all.
        distinct: Arguments of each stage's adapter, as for `build_adapter`.

    Raises:
        UserError: The adapter cannot be built, does not fit, or changes blocks after the last map.
    """
    stages = stages_of(network)
    is_staged = maps_of(network) is not None
    if levels is None:
        levels = range(len(STRIDES) if is_staged else len(stages[0]))
    patch_size = PUBLISHED_PATCH if is_staged else network.patch_embed.patch_size[0]
    adapter = build_adapter(config, stages, patch_size, levels, distinct)
    attach(adapter, network, stages, getattr(network, "num_prefix_tokens", 0))
    last = max(levels)
    unused = [block for stage in stages for index, block in enumerate(stage)
              if (stage.level if is_staged else index) > last]
    refuse_unused(network, adapter, unused, f"{'stages' if is_staged else 'blocks'} {[*levels]}")
    return adapter


def build_adapter(
    config: Mapping,
    stages: Sequence[Stage],
    patch_size: int,
    levels: Collection[int] = (),
    distinct: Sequence[Mapping] | None = None,
) -> Adapter:
    """Build the adapter of a network; its sizes come from the network if the config has none.

    Args:
        config: The adapter, or what the adapters of all stages share. Each adapter of a `Combined`
            is built alike.
        stages: The network's stages.
        patch_size: Patch side, pixels.
        levels: The maps that the backbone returns, by `Stage.level`.
        distinct: Arguments of each stage's adapter. As published, they stay for the stages after
            it.

    Raises:
        UserError: There is no such adapter, it cannot be built with these arguments, or there are
            more or fewer `distinct` than stages.
    """
    kind = adapter_type(config)
    per_stage = len(stages) > 1 and getattr(kind, "ONE_PER_STAGE", False)
    if distinct is not None and (len(distinct) != len(stages) or not per_stage):
        raise UserError(f"distinct_cfgs has {len(distinct)} entries, but the backbone has "
                        f"{len(stages)} stages that {config['type']} refines. Leave it out to "
                        "derive it from the backbone.")
    if not per_stage:
        if kind is Combined and isinstance(parts := config.get("adapters"), list | tuple):
            config = dict(config, adapters=[
                build_adapter(part, stages, patch_size, levels) for part in parts])
        return _build(kind, _derived(kind, stages, patch_size) | dict(config))
    adapters, shared = [], dict(config)
    for stage, own in zip(stages, distinct or [{}] * len(stages), strict=True):
        shared |= own
        adapters.append(_build(kind, _derived(kind, [stage], patch_size) | shared))
    return StageAdapters(adapters, [i for i, stage in enumerate(stages) if stage.level in levels])


def adapter_type(config: Any, names: Iterable[str] = ()) -> type[Adapter]:
    """Return the type that an adapter's config names; errors list `names`, or all types.

    Raises:
        UserError: It names none.
    """
    if not isinstance(config, Mapping):
        raise UserError(f"an adapter's config is {config!r}; expected dict(type=..., ...).")
    kind = config.get("type")
    found = MODELS.get(kind) if isinstance(kind, str) and kind else kind
    if not (isinstance(found, type) and issubclass(found, Adapter)):
        known = list(names) or sorted(
            name for name, one in MODELS.module_dict.items()
            if isinstance(one, type) and issubclass(one, Adapter))
        found = f"there is no adapter {kind!r}" if kind else "an adapter's config has no type"
        raise UserError(f"{found}. Known: {', '.join(known)}; see docs/adapters.md.")
    return found


def _build(kind: type[Adapter], config: Mapping) -> Adapter:
    """Build an adapter from a config with all sizes, once its arguments are checked."""
    check_arguments(kind, config, Adapter)
    with building_adapter(kind, "__init__"):
        adapter = MODELS.build(dict(config))
    refuse_unbuilt(adapter)
    return adapter


def _derived(kind: type[Adapter], stages: Sequence[Stage], patch_size: int) -> dict:
    """Return the sizes that an adapter takes, from the network."""
    sizes = dict(
        num_layers=sum(map(len, stages)), embed_dims=stages[0].width, patch_size=patch_size)
    known = known_arguments(kind, Adapter)
    return {name: size for name, size in sizes.items() if name in known}
