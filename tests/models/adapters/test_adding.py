"""Adapters train on a user's own timm network, whose weights and mode stay as they are."""

import copy

import pytest
import timm
import torch
from tiny_networks import NETWORKS
from torch import nn

import rein
from rein.errors import UserError
from rein.models.adapters import Adapter

OPTIONS = {
    "rein": dict(token_length=6, lora_dim=2), "Reins": dict(token_length=6), "lora": dict(rank=2),
    "dora": dict(rank=2), "soma": dict(rank=2), "vpt": dict(num_tokens=3),
    "adaptformer": dict(hidden_dims=4), "bitfit": {}, "norm": {}}


def network(name="dinov2", **kwargs):
    torch.manual_seed(0)
    arguments = dict(NETWORKS[name]) | kwargs
    return timm.create_model(arguments.pop("model"), **arguments)


def images(side=56):
    return torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("kind", OPTIONS)
def test_a_plain_loop_trains_the_adapter_alone(kind):
    model = network()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    adapter = rein.add_adapter(model, kind, **OPTIONS[kind])
    assert model.adapter is adapter and isinstance(adapter, Adapter)
    assert {id(p) for p in model.parameters() if p.requires_grad} == {
        id(p) for p in adapter.parameters()}
    optimizer = torch.optim.SGD(adapter.parameters(), lr=0.1)
    start = copy.deepcopy(adapter.state_dict())
    for _ in range(2):  # LoRA's A has a gradient once B is not zero
        optimizer.zero_grad()
        model(images()).square().mean().backward()
        assert all(p.grad is not None for p in adapter.parameters())
        optimizer.step()
    assert any(not torch.equal(value, start[name]) for name, value in adapter.state_dict().items())
    after = model.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())


@pytest.mark.parametrize("name", ["convnext", "resnet", "dinov3", "eva02"])
def test_other_networks_take_rein(name):
    model = network(name)
    adapter = rein.add_adapter(model, "rein", **OPTIONS["rein"])
    model(images(64 if name != "eva02" else 56)).square().mean().backward()
    assert all(p.grad is not None for p in adapter.parameters())


def test_a_saved_adapter_gives_the_same_outputs_elsewhere(tmp_path):
    one, other = network(), network()
    torch.manual_seed(1)
    trained = rein.add_adapter(one, "rein", **OPTIONS["rein"])
    nn.init.ones_(trained.scale)
    torch.save(trained.state_dict(), tmp_path / "adapter.pth")
    added = rein.add_adapter(other, dict(type="LoRAReins", token_length=6), lora_dim=2)
    assert not torch.equal(one(images()), other(images()))
    added.load_state_dict(torch.load(tmp_path / "adapter.pth", weights_only=True))
    assert torch.equal(one(images()), other(images()))
    assert torch.equal(copy.deepcopy(one)(images()), one(images()))


def test_frozen_parts_stay_in_evaluation_mode_and_a_thawed_classifier_trains():
    model = network("resnet", num_classes=3)
    adapter = rein.add_adapter(model, "rein", **OPTIONS["rein"])
    model.fc.requires_grad_(True)
    assert model.train() is model and model.training
    assert adapter.training and model.fc.training and not model.layer1.training
    before = model.bn1.running_mean.clone()
    model(images(64)).sum().backward()
    assert torch.equal(model.bn1.running_mean, before) and model.fc.weight.grad is not None
    model.eval()
    assert not adapter.training and not model.fc.training


def test_layers_that_the_network_does_not_call_are_named():
    model = network("eva02", depth=2, qkv_fused=True)
    rein.add_adapter(model, "lora", rank=2)
    with pytest.raises(UserError, match="does not call blocks.0.attn.qkv"):
        model(images())


def test_mistakes_are_named():
    model = network()
    with pytest.raises(UserError, match="no adapter 'reins'. Known: rein, lora"):
        rein.add_adapter(model, "reins")
    with pytest.raises(UserError, match="LoRA has no argument 'ranks'. Did you mean 'rank'"):
        rein.add_adapter(model, "lora", ranks=2)
    rein.add_adapter(model, "bitfit")
    with pytest.raises(UserError, match="has an adapter already, BitFit"):
        rein.add_adapter(model, "lora")
