"""A network without its adapter computes as the frozen one, and with it again as before."""

import pytest
import torch
from tiny_adapters import ADAPTERS, IMAGES, backbone

from rein.errors import UserError
from rein.models.adapters.base import switched_off


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_a_switched_off_adapter_leaves_the_frozen_network(adapter):
    built, calls = backbone(adapter), []
    built.model.blocks[1].mlp.fc1.register_forward_hook(lambda *_: calls.append(1))  # not its own
    with torch.no_grad():
        for parameter in built.reins.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
        refined = built(IMAGES)
        calls.clear()
        with switched_off(built.model, built.reins):
            off = built(IMAGES)
        assert calls == [1]
        again = built(IMAGES)
        frozen = backbone(ADAPTERS["rein"])
        frozen.model.load_state_dict(built.model.state_dict())
        for module in frozen.model.modules():
            module._forward_hooks.clear()
        expected = frozen(IMAGES)
    assert not torch.equal(refined.maps[-1], off.maps[-1])
    for one, other, back, first in zip(
            off.maps, expected.maps, again.maps, refined.maps, strict=True):
        assert torch.equal(one, other) and torch.equal(back, first)


def test_an_adapter_that_acts_by_more_than_hooks_is_refused():
    built = backbone("vpt", network="rotary")
    with pytest.raises(UserError, match="VPT changes blocks.0.attn, so it cannot"), \
            switched_off(built.model, built.reins):
        pass
