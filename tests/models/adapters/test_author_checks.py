"""Mistakes of an adapter's author are named, with the class, when the model is built or runs."""

import copy

import pytest
import timm
import torch
from own_adapters import Scales, Vera
from tiny_adapters import IMAGES, backbone
from tiny_networks import tiny_network
from torch import nn

import rein
from rein.errors import UserError
from rein.models.adapters import Adapter


class NoSuper(Adapter):
    def __init__(self):
        self.parts = nn.ModuleList()


class NoSuperEither(Adapter):
    def __init__(self):
        self.rank = 4


class NoAttach(Adapter):
    pass


class Breaks(Scales):
    def attach(self, network, stages, num_prefix_tokens):
        return stages[0][99]


class PythonList(Scales):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.hidden = [self.scales]
        del self.scales


class KeepsLayer(Scales):
    def attach(self, network, stages, num_prefix_tokens):
        super().attach(network, stages, num_prefix_tokens)
        self.first = stages[0][0].norm1


class KeepsWeights(Scales):
    def attach(self, network, stages, num_prefix_tokens):
        super().attach(network, stages, num_prefix_tokens)
        self.start = nn.ParameterList([stages[0][0].norm1.weight])


class KeepsNetwork(Scales):
    def attach(self, network, stages, num_prefix_tokens):
        self.network = network
        super().attach(network, stages, num_prefix_tokens)


class Thaws(Scales):
    def attach(self, network, stages, num_prefix_tokens):
        super().attach(network, stages, num_prefix_tokens)
        stages[0][1].norm1.weight.requires_grad_(True)


class Lambda(Scales):
    def attach(self, network, stages, num_prefix_tokens):
        super().attach(network, stages, num_prefix_tokens)
        stages[0][0].register_forward_hook(lambda block, args, out: self._scale(block, args, out))


class InPlace(Scales):
    @torch.no_grad()
    def on_pretrained(self):
        next(iter(self.blocks)).norm1.weight.mul_(0.5)


class InPlaceByData(Scales):
    def on_pretrained(self):
        next(iter(self.blocks)).mlp.fc1.weight.data *= 0.5


class Twice(Scales):
    def on_pretrained(self):
        next(iter(self.blocks)).register_forward_hook(self._scale)


class ListOfQueries(Scales):
    def queries(self):
        return [self.scales]


class FlatQueries(Scales):
    def queries(self):
        return self.scales[0]


MISTAKES = [
    (NoSuper, "NoSuper: its `__init__` must begin with `super"),
    (NoSuperEither, "NoSuperEither: its `__init__` must begin with `super"),
    (NoAttach, "NoAttach has no method `attach`"),
    (Breaks, "Breaks.attach fails: IndexError: list index out of range. Correct it, or"),
    (PythonList, "PythonList has no parameter that trains.*`nn.ParameterList`"),
    (KeepsLayer, r"KeepsLayer: its attribute `first` is blocks.0.norm1 of .*self.first = \[...\]"),
    (KeepsWeights, "KeepsWeights: its attribute `start.0` is blocks.0.norm1.weight of the"),
    (KeepsNetwork, "KeepsNetwork: its attribute `network` is all of the network, not of"),
    (Thaws, "Thaws.attach changes the `requires_grad` of the network's blocks.1.norm1.weight"),
    (Lambda, "Lambda.attach registers a lambda or inner function.*`functools.partial`"),
    (InPlace, "on_pretrained changes the values of the network's blocks.0.norm1.weight"),
    (InPlaceByData, "on_pretrained changes the values of the network's blocks.0.mlp.fc1.weight"),
    (Twice, "Twice.on_pretrained changes hooks.*Register hooks in `attach`"),
    (ListOfQueries, r"ListOfQueries.queries\(\) returns a value list; expected a tensor \(m, q\)"),
    (FlatQueries, r"FlatQueries.queries\(\) returns a value of shape \(32,\); expected a tensor")]


@pytest.mark.parametrize("kind, message", MISTAKES, ids=[kind.__name__ for kind, _ in MISTAKES])
def test_a_mistake_is_named_with_the_class(kind, message):
    with pytest.raises(UserError, match=message) as caught:
        model = tiny_network("dinov2", reins_config=dict(type=kind))
        model.init_weights()
        model(IMAGES)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", [KeepsNetwork, Thaws, PythonList, InPlace, ListOfQueries])
def test_a_mistake_of_one_of_several_adapters_is_named_on_an_own_network(kind):
    network = timm.create_model("vit_tiny_patch16_224", img_size=64, depth=2, num_classes=0)
    name = r"Combined \(BitFit, InPlace\).on_pretrained" if kind is InPlace else kind.__name__
    with pytest.raises(UserError, match=name):
        rein.add_adapter(network, "Combined", adapters=[dict(type="bitfit"), dict(type=kind)])
        network(torch.randn(1, 3, 64, 64))


@pytest.mark.parametrize("kind", [Scales, Vera])
def test_a_right_adapter_builds_starts_runs_and_is_copied(kind):
    built = backbone(dict(type=kind))
    other = copy.deepcopy(built)
    nn.init.normal_(other.reins.scales)
    with torch.no_grad():
        assert not torch.equal(built(IMAGES).maps[3], other(IMAGES).maps[3])


def test_two_peft_adapters_of_one_layer_are_refused():
    pytest.importorskip("peft", reason="needs the extra `peft`")
    part = dict(type="Peft", config=dict(peft_type="LORA", target_modules=["qkv"]))
    with pytest.raises(UserError, match="another Peft adapter changes blocks.0.attn.qkv already"):
        backbone(dict(type="Combined", adapters=[part, part]))


def test_a_network_whose_adapter_was_deleted_is_refused():
    network = timm.create_model("vit_tiny_patch16_224", img_size=64, depth=2, num_classes=0)
    rein.add_adapter(network, "lora", rank=2)
    del network.adapter
    with pytest.raises(UserError, match="still has hooks of LoRA.*Create the network anew"):
        rein.add_adapter(network, "lora", rank=2)
