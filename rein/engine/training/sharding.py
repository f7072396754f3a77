"""Shard the frozen blocks of a backbone over processes, for backbones larger than a card.

Source: PyTorch's FSDP2, `torch.distributed.fsdp.fully_shard`.
"""

import contextlib
import itertools
import warnings
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import all_reduce, get_world_size
from mmengine.hooks import Hook
from mmengine.model import MMDistributedDataParallel
from mmengine.registry import MODEL_WRAPPERS
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor

from rein.errors import UserError
from rein.models.stages import PROBE_SIZE, blocks_of

_SETTING = "model_wrapper_cfg=dict(type='ShardedBackbone')"


@MODEL_WRAPPERS.register_module()
class ShardedBackbone(MMDistributedDataParallel):
    """Distributed training where each process keeps a part of every frozen block.

    A block's weights are gathered while it computes. Everything else, such as adapter and head, is
    replicated and trains as in `MMDistributedDataParallel`. Until `shard`, the frozen blocks stay
    where they are, so that weights are loaded and identified as usual; `shard` moves them to the
    device one by one.

    In training, every process must run the backbone equally often. In testing, images differ in
    size and therefore in windows: before each window the processes agree to go on, and a process
    that is done keeps gathering until all are, see `wait_for_others`.

    Args:
        module (nn.Module): A segmentor with a frozen backbone, or test-time augmentation around it.
        **kwargs: As for `MMDistributedDataParallel`.
    """

    def __init__(self, module: nn.Module, **kwargs) -> None:
        ignored = {id(value) for block in frozen_blocks(module) for value in _values(block)}
        self._set_params_and_buffers_to_ignore_for_model(module, [
            name for name, value in itertools.chain(
                module.named_parameters(), module.named_buffers()) if id(value) in ignored])
        super().__init__(module, **kwargs)
        self.is_sharded = False
        self._waits = False

    def shard(self) -> None:
        """Shard the frozen blocks, once; call it in all processes, after loading all weights."""
        if self.is_sharded:
            return
        self.is_sharded = True
        backbone = _segmentor(self.module).backbone
        mesh = init_device_mesh(torch.device(get_device()).type, (get_world_size(),))
        for block in frozen_blocks(self.module):
            _shard_block(block, mesh)
        # as the root, the network lets the next block's weights arrive during a block's computation
        network = backbone.model
        # no block or adapter changes a block's output in place
        warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view")
        fully_shard(network, mesh=mesh, ignored_params={
            value for value in network.parameters() if not isinstance(value, DTensor)})
        register_fsdp_forward_method(network, "forward_intermediates")
        backbone.register_state_dict_post_hook(_drop_parts)
        backbone.register_forward_pre_hook(self._announce)

    def _announce(self, backbone: nn.Module, args: tuple[Tensor]) -> None:
        """Tell the others, in testing, that this process computes (a pre-hook)."""
        if not backbone.training and not self._waits:
            _any_process(True)

    @torch.no_grad()
    def wait_for_others(self) -> None:
        """Take part in the others' gathering until all have called this, at a test's end."""
        backbone = _segmentor(self.module).backbone
        device = next(backbone.parameters()).device
        sides = backbone.only_size or (PROBE_SIZE[0],) * 2
        self._waits = True
        while _any_process(False):
            backbone(torch.zeros(1, 3, *sides, device=device))
        self._waits = False


class ShardingHook(Hook):
    """Shards when a loop begins, after all other hooks have seen the whole weights."""

    priority = "LOWEST"

    def before_train(self, runner) -> None:
        """Shard before training."""
        runner.model.shard()

    def before_val(self, runner) -> None:
        """Shard before validation."""
        runner.model.shard()

    def before_test(self, runner) -> None:
        """Shard before testing."""
        runner.model.shard()


def is_requested(wrapper: Mapping[str, Any] | None) -> bool:
    """Tell whether a config's `model_wrapper_cfg` shards the backbone."""
    return (wrapper or {}).get("type") in ("ShardedBackbone", ShardedBackbone)


def check_shardable(model: nn.Module, cfg: Config, distributed: bool) -> None:
    """Check that a model can be sharded in this run.

    Raises:
        UserError: There is one process, the backbone has no frozen blocks, or the config asks for
            something else that needs whole weights.
    """
    if not distributed or get_world_size() == 1:
        raise UserError(
            f"{_SETTING}: shards over several processes, found one. Start several by "
            "tools/dist_train.sh or tools/dist_test.sh, or pass "
            "--cfg-options model_wrapper_cfg=None.")
    if not frozen_blocks(model):
        raise UserError(
            f"{_SETTING}: shards frozen blocks, but this backbone has none: all of it trains. "
            "Freeze it, or pass --cfg-options model_wrapper_cfg=None.")
    if cfg.get("compile"):
        raise UserError(f"{_SETTING}: does not work together with compile. Remove one of them.")
    hooks = [*(cfg.get("custom_hooks") or ()), *(cfg.get("default_hooks") or {}).values()]
    if any(isinstance(hook, Mapping) and "EMAHook" in str(hook.get("type")) for hook in hooks):
        raise UserError(f"{_SETTING}: does not work together with EMAHook, which copies the whole "
                        "model. Remove one of them.")


def frozen_blocks(model: nn.Module) -> list[nn.Module]:
    """Return the blocks of a segmentor's backbone of which nothing trains."""
    network = getattr(_segmentor(model).backbone, "model", None)
    if network is None:
        return []
    return [block for block in blocks_of(network)
            if not any(value.requires_grad for value in block.parameters())]


@contextlib.contextmanager
def blocks_left_in_place(model: nn.Module) -> Iterator[None]:
    """Let `model.to` skip the frozen blocks, which together may be larger than the device."""
    blocks = frozen_blocks(model)
    for block in blocks:
        block._apply = lambda function, recurse=True, block=block: block
    try:
        yield
    finally:
        for block in blocks:
            del block._apply


def _segmentor(model: nn.Module) -> nn.Module:
    return getattr(model, "module", model)  # without test-time augmentation


def _values(module: nn.Module) -> Iterator[Tensor]:
    return itertools.chain(module.parameters(), module.buffers())


def _shard_block(block: nn.Module, mesh) -> None:
    whole = list(block.parameters())
    scalars = {value for value in whole if not value.ndim}  # FSDP2 cannot shard these
    fully_shard(block, mesh=mesh, reshard_after_forward=True, ignored_params=scalars)
    hooks = block._forward_pre_hooks
    hooks.move_to_end(next(iter(hooks)))  # FSDP2's drops attributes of inputs, which VPT reads
    for value in whole:
        if value not in scalars:  # an optimizer without `paramwise_cfg` still lists them
            value.data = value.data.new_empty(0)
    block.register_state_dict_post_hook(_without_values)


def _without_values(
    block: nn.Module, state_dict: MutableMapping[str, Tensor], prefix: str, metadata: dict,
) -> None:
    """Replace parts by meta tensors, in place (a post-hook).

    The renaming of a backbone's weights computes with some, and only the main process saves: with
    parts it would wait for the other processes.
    """
    for name, value in state_dict.items():
        if name.startswith(prefix) and isinstance(value, DTensor):
            state_dict[name] = torch.empty(value.shape, dtype=value.dtype, device="meta")


def _drop_parts(
    backbone: nn.Module, state_dict: MutableMapping[str, Tensor], prefix: str, metadata: dict,
) -> None:
    """Remove the sharded weights, which no process has whole, from a state dict (a post-hook)."""
    for name in [name for name, value in state_dict.items() if value.is_meta]:
        del state_dict[name]


def _any_process(computes: bool) -> bool:
    """Tell whether any process computes; all call this at the same time."""
    flag = torch.tensor(int(computes))
    all_reduce(flag, "max")
    return bool(flag)
