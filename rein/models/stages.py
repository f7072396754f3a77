"""Stages of timm's networks: runs of blocks with one width, and the layout of their outputs.

A plain vision transformer is one stage. Staged networks (ConvNeXt, ResNet, Swin, Hiera,
EfficientNet) halve the map between stages and have a map at each of strides 4, 8, 16, 32.
"""

import copy
from collections.abc import Iterable, Sequence
from itertools import chain, groupby
from typing import NamedTuple

import torch
from torch import Tensor, nn

from rein.errors import UserError, one_line

STRIDES = (4, 8, 16, 32)
"""Strides of a pyramid's maps, in pixels."""

PROBE_SIZE = (64, 352)
"""Size (H, W) of the image that shows the shapes of a staged network's maps, in pixels.

Its maps are 11/2 times as wide as high, which tells height and width from channels.
"""


class Stage(list):
    """Consecutive blocks whose outputs have one width and size.

    Args:
        blocks: The blocks, in order.
        width: Channels of their outputs.
        level: Index of the map that ends this run of sizes, 0 for stride 4; 0 if plain.
        channels_first: Whether 4-d outputs are (B, C, H, W) instead of (B, H, W, C). Outputs with
            three dimensions are tokens (B, n, C).
    """

    def __init__(
        self, blocks: Iterable[nn.Module], width: int, level: int = 0, channels_first: bool = False,
    ) -> None:
        super().__init__(blocks)
        self.width = width
        self.level = level
        self.channels_first = channels_first


def to_tokens(output: Tensor, channels_first: bool) -> Tensor:
    """Return a block's output, (B, C, H, W), (B, H, W, C) or (B, n, C), as tokens (B, n, C)."""
    if output.ndim == 3:
        return output
    return output.flatten(2).transpose(1, 2) if channels_first else output.flatten(1, 2)


def from_tokens(tokens: Tensor, like: Tensor, channels_first: bool) -> Tensor:
    """Return tokens (B, n, C) in the layout of `like`, the inverse of `to_tokens`."""
    return (tokens.transpose(1, 2) if channels_first and like.ndim == 4 else tokens).reshape(
        like.shape)


def maps_of(network: nn.Module) -> list[int] | None:
    """Return timm's indices of a staged network's maps at strides 4, 8, 16, 32; None if plain.

    Raises:
        UserError: The network has other strides, or is neither plain nor staged.
    """
    infos = list(getattr(network, "feature_info", ()))
    strides = [info["reduction"] for info in infos]
    if not hasattr(network, "forward_intermediates") or (
            len(set(strides)) < 2 and not _is_plain(network)):
        raise UserError(
            f"{type(network).__name__} cannot take an adapter: expected a network of "
            "`timm.create_model` with `forward_intermediates`, either a vision transformer with "
            "`blocks` and `patch_embed`, or one with maps at strides 4, 8, 16, 32.")
    if len(set(strides)) < 2:
        return None
    indices = [i for i, stride in enumerate(strides) if stride >= STRIDES[0]]
    if tuple(strides[i] for i in indices) != STRIDES:
        raise UserError(f"{type(network).__name__} has maps at strides {strides}; expected one at "
                        f"each of {', '.join(map(str, STRIDES))}.")
    return indices


def _is_plain(network: nn.Module) -> bool:
    """Tell whether a network has the parts of a plain vision transformer."""
    blocks = getattr(network, "blocks", None)
    return (isinstance(blocks, nn.Sequential | nn.ModuleList) and len(blocks) > 0
            and hasattr(network, "embed_dim")
            and isinstance(getattr(getattr(network, "patch_embed", None), "patch_size", 0), tuple))


def stages_of(network: nn.Module) -> list[Stage]:
    """Find a network's stages; those before stride 4 are left out."""
    if maps_of(network) is None:
        return [Stage(network.blocks, network.embed_dim)]
    shapes = _probe(network)
    return [
        Stage((found.block for found in run), width, STRIDES.index(stride), channels_first)
        for (width, stride, channels_first), run in groupby(shapes, lambda found: found[1:])
        if stride in STRIDES
    ]


def blocks_of(network: nn.Module) -> list[nn.Module]:
    """Return all blocks of a network in order, including those before stride 4."""
    if maps_of(network) is None:
        return list(network.blocks)
    return [network.get_submodule(name) for name in _blocks(network)]


def block_index(name: str, blocks: Sequence[str]) -> int | None:
    """Return which of some blocks a parameter's dotted name contains; None if none."""
    return next((i for i, block in enumerate(blocks) if f".{block}." in f".{name}"), None)


class _Output(NamedTuple):
    """A block and the width, stride and layout of its output."""

    block: nn.Module
    width: int
    stride: int
    channels_first: bool


def _blocks(network: nn.Module) -> list[str]:
    """Name the blocks of a staged network's stages.

    A stage's module is `PARENT.INDEX`, or has a name of its own. It ends the items of PARENT after
    the last stage's; each item is a block, or holds blocks in `blocks` or as a sequence.
    """
    names, last = [], {}
    for module in (network.feature_info[i]["module"] for i in maps_of(network)):
        parent, _, index = module.rpartition(".")
        items = [module]
        if index.isdecimal():
            items = [f"{parent}.{i}" for i in range(last.get(parent, -1) + 1, int(index) + 1)]
            last[parent] = int(index)
        for item in items:
            stage = network.get_submodule(item)
            inner = getattr(stage, "blocks", stage)
            prefix = item + (".blocks" if inner is not stage else "")
            is_sequence = isinstance(inner, nn.Sequential | nn.ModuleList)
            names += [f"{prefix}.{i}" for i in range(len(inner))] if is_sequence else [item]
    return names


def _probe(network: nn.Module) -> list[_Output]:
    """Run a copy without memory on a small image; return the outputs of its blocks."""
    values = chain(network.parameters(), network.buffers())
    memo = {id(value): _empty_like(value) for value in values}
    twin = copy.deepcopy(network, memo).eval()
    shapes: dict[str, torch.Size] = {}
    for name in _blocks(network):
        twin.get_submodule(name).register_forward_hook(
            lambda block, args, output, name=name: shapes.update({name: output.shape}))
    image = torch.zeros(1, 3, *PROBE_SIZE, device="meta")
    try:
        with torch.no_grad():
            twin.forward_intermediates(image, indices=maps_of(network), intermediates_only=True)
    except Exception as error:
        raise UserError(
            f"{type(network).__name__} cannot take an adapter: it does not run on an image of "
            f"{PROBE_SIZE} (H, W), which shows its stages ({one_line(error, 120)}). Create it for "
            "any size, as by strict_img_size=False, or choose another network.") from error
    return [_output(network.get_submodule(name), shape) for name, shape in shapes.items()]


def _empty_like(value: Tensor) -> Tensor:
    empty = torch.empty_like(value, device="meta")
    return nn.Parameter(empty, False) if isinstance(value, nn.Parameter) else empty


def _output(block: nn.Module, shape: torch.Size) -> _Output:
    """Read width, stride and layout from the shape of a block's output for `PROBE_SIZE`."""
    height, width = PROBE_SIZE
    if len(shape) == 3:
        return _Output(block, shape[2], round((height * width / shape[1])**0.5), False)
    channels_first = shape[2] * width == shape[3] * height
    channels, rows = (shape[1], shape[2]) if channels_first else (shape[3], shape[1])
    return _Output(block, channels, height // rows, channels_first)
