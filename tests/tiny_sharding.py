"""Compare a sharded tiny backbone with a whole one, in each of several processes."""

import torch
from tiny_networks import PLAIN, tiny_network
from torch import distributed, nn
from torch.distributed.tensor import DTensor

from rein.engine.training import sharding
from rein.engine.training.sharding import ShardedBackbone
from rein.models.freezing import trained_state_dict


class Segmentor(nn.Module):
    """A backbone whose loss depends on all maps and queries."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, images):
        """Return the loss."""
        pyramid = self.backbone(images)
        loss = sum((x * torch.linspace(-1, 1, x.numel()).view_as(x)).sum() for x in pyramid)
        return loss if pyramid.queries is None else loss + pyramid.queries.sum()


def segmentor(network: str, **kwargs) -> Segmentor:
    """Build a tiny network whose adapter has large seeded weights."""
    model = Segmentor(tiny_network(network, **kwargs))
    model.backbone.init_weights()
    torch.manual_seed(1)
    for parameter in model.parameters():
        if parameter.requires_grad:
            nn.init.normal_(parameter, std=0.1)
    return model


def held_bytes(module: nn.Module) -> int:
    """Return the bytes of parameters that this process holds."""
    return sum(value.numel() * value.element_size() for value in (
        p.to_local() if isinstance(p, DTensor) else p for p in module.parameters()))


def compare_backbones(*cases: tuple[str, dict]) -> list[float]:
    """Compare losses, gradients and saved weights of two steps, and test unevenly often.

    Args:
        *cases: Names of `tiny_networks` and further arguments of the backbone.

    Returns:
        This process's share of the blocks' bytes by case.
    """
    distributed.init_process_group("gloo")
    return [_compare(network, kwargs) for network, kwargs in cases]


def _compare(network: str, kwargs: dict) -> float:
    whole, model = segmentor(network, **kwargs), segmentor(network, **kwargs)
    wrapped = ShardedBackbone(
        model, device_ids=None, broadcast_buffers=False, find_unused_parameters=True)
    saved = trained_state_dict(model)
    frozen = [p for block in sharding.frozen_blocks(model) for p in block.parameters()]
    wrapped.shard()
    assert frozen and not any(p.numel() for p in frozen if p.ndim)  # optimizers may list them
    side = 56 if "img_size" in PLAIN.get(network, {}) and PLAIN[network]["img_size"] == 56 else 64
    images = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    for _ in range(2):
        for one in (whole.train(), wrapped.train()):
            one.zero_grad()
            one(images).backward()
    expected = {name: p.grad for name, p in whole.named_parameters() if p.grad is not None}
    found = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    largest = max(float(value.abs().max()) for value in expected.values())
    assert largest > 0
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6 * largest)
    with torch.no_grad():
        for _ in range(distributed.get_rank()):
            assert torch.equal(model.eval()(images), whole.eval()(images))
    model.eval()
    wrapped.wait_for_others()
    if distributed.get_rank() == 0:  # only the main process saves
        state = model.state_dict()
        assert saved.keys() <= state.keys() and not any(
            isinstance(value, DTensor) or value.is_meta for value in state.values())
    blocks, whole_blocks = (one.backbone.model for one in (model, whole))
    sharded = {name for name, p in blocks.named_parameters() if isinstance(p, DTensor)}
    rest = sum(p.numel() * p.element_size() for name, p in blocks.named_parameters()
               if name not in sharded)
    return (held_bytes(blocks) - rest) / (held_bytes(whole_blocks) - rest)
