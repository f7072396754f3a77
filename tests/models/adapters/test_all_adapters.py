"""Promises that every adapter keeps, on plain, register, rotary and checkpointed networks."""

import copy

import pytest
import timm
import torch
from conftest import build
from tiny_adapters import ADAPTERS, FOLDS, IMAGES, NETWORKS, STARTS_FROZEN, backbone
from tiny_backbone import ADAPTER

from rein.errors import UserError
from rein.models import VisionFoundationModel


def maps(built):
    with torch.no_grad():
        return torch.cat([m.flatten() for m in built(IMAGES).maps])


def frozen_maps(built):
    """Compute the maps of the same network without an adapter."""
    plain = copy.deepcopy(built.model)
    for module in plain.modules():
        module._forward_hooks.clear()
        module._forward_pre_hooks.clear()
    outputs = VisionFoundationModel(plain, out_indices=built.out_indices)
    return maps(outputs.eval())


def move(built, steps=2):
    """Train a few steps towards an arbitrary target; return the last gradients."""
    trained = [p for p in built.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-2, weight_decay=0)
    for _ in range(steps):
        optimizer.zero_grad()
        sum(((m - 1) ** 2).mean() for m in built.train()(IMAGES).maps).backward()
        optimizer.step()
    built.eval()
    return {name: p.grad for name, p in built.named_parameters()}


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("adapter", ADAPTERS)
def test_only_the_adapter_gets_gradients_and_all_of_it_does(adapter, network):
    gradients = move(backbone(adapter, network))
    assert all(g is None for name, g in gradients.items() if not name.startswith("reins."))
    own = {name: g for name, g in gradients.items() if name.startswith("reins.")}
    assert own and [name for name, g in own.items() if g is None or not g.any()] == []


@pytest.mark.parametrize("adapter", STARTS_FROZEN)
def test_an_adapter_starts_as_the_frozen_network(adapter):
    built = backbone(adapter)
    torch.testing.assert_close(maps(built), frozen_maps(built), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_state_round_trips_and_copies_are_independent(adapter):
    built = backbone(adapter)
    move(built)
    again, copied = backbone(adapter), copy.deepcopy(built)
    again.load_state_dict(built.state_dict())
    assert torch.equal(maps(again), maps(built)) and torch.equal(maps(copied), maps(built))
    before = maps(built)
    move(copied)
    assert torch.equal(maps(built), before) and not torch.equal(maps(copied), before)
    plain = build(dict(NETWORKS["plain"], type="DinoVisionTransformer")).state_dict()
    assert {n for n in built.state_dict() if not n.startswith("reins.")} == plain.keys()


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_checkpointed_gradients_are_the_same(adapter):
    torch.manual_seed(2)
    plain, checkpointed = (move(backbone(adapter, with_cp=cp)) for cp in (False, True))
    for name, gradient in plain.items():
        if gradient is not None:
            torch.testing.assert_close(checkpointed[name], gradient)


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_bfloat16_autocast_trains(adapter):
    with torch.autocast("cpu", torch.bfloat16):
        gradients = move(backbone(adapter), steps=1)
    assert all(g.isfinite().all() for g in gradients.values() if g is not None)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("adapter", FOLDS)
def test_folded_weights_equal_the_adapter(adapter, network):
    built = backbone(adapter, network)
    move(built)
    expected, deltas = maps(built), built.reins.fold()
    parameters = dict(built.model.named_parameters())
    for name, delta in deltas.items():
        parameters[name].data += delta
    torch.testing.assert_close(frozen_maps(built), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("adapter", ["rein", "vpt", "adaptformer", "combined"])
def test_what_depends_on_features_folds_nothing(adapter):
    assert backbone(adapter).reins.fold() == {}


@pytest.mark.parametrize(("config", "count"), [
    (dict(type="LoRA", rank=8), 786_432),
    (dict(type="AdaptFormer", hidden_dims=64), 3_171_840),
    (dict(type="VPT", num_tokens=150), 3_686_400),
    (dict(type="SoMA", rank=16, blocks=[8, 24]), 4_718_592 + 147_456),
])
def test_parameter_counts_are_the_published_ones(config, count):
    with torch.device("meta"):
        built = build(dict(type="ReinsDinoVisionTransformer", reins_config=config))
    assert sum(p.numel() for p in built.parameters() if p.requires_grad) == count


def test_a_target_that_no_block_has_is_refused():
    with pytest.raises(UserError, match=r"targets \['query'\].*Known: fc1, fc2, k, proj, q, qkv"):
        backbone(dict(type="LoRA", targets=["query"]))
    with pytest.raises(UserError, match="blocks 0 to 3"):
        backbone(dict(type="LoRA", blocks=[2, 9]))


def test_a_layer_that_the_network_never_calls_is_refused():
    """Timm's EVA02-Ti reads the weight of its joined projection."""
    network = timm.create_model(
        "eva02_tiny_patch14_224", img_size=56, embed_dim=32, depth=2, num_heads=2, num_classes=0)
    built = build(dict(type="VisionFoundationModel", model=network,
                       reins_config=dict(type="LoRA", targets=["qkv", "proj"])))
    with pytest.raises(UserError, match=r"does not call blocks\.0\.attn\.qkv"):
        built(IMAGES)


def test_two_adapters_with_queries_are_refused():
    built = backbone(dict(type="Combined", adapters=[ADAPTER, ADAPTER]))
    with pytest.raises(UserError, match="2 adapters have queries"):
        built(IMAGES)


def test_shallow_prompts_come_last_in_a_combination():
    prompts = dict(type="VPT", num_tokens=5, deep=False)
    maps(backbone(dict(type="Combined", adapters=[ADAPTERS["rein"], prompts])))
    with pytest.raises(UserError, match="Name VPT last"):
        maps(backbone(dict(type="Combined", adapters=[prompts, ADAPTERS["rein"]])))
