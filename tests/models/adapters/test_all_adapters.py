"""Promises that every adapter keeps, on plain, register, rotary, staged, checkpointed networks."""

import copy
import math

import pytest
import timm
import torch
from conftest import build
from tiny_adapters import (
    ADAPTERS,
    FOLDS,
    IMAGES,
    LORA,
    NETWORKS,
    PAIRS,
    PEFT,
    STARTS_FROZEN,
    backbone,
    tokens_of,
)
from tiny_backbone import ADAPTER
from torch import nn

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


@pytest.mark.parametrize(("adapter", "network"), [*PAIRS, *(
    pytest.param(*PEFT.values, network, id=f"peft-{network}", marks=PEFT.marks)
    for network in (*NETWORKS, "staged"))])
def test_only_the_adapter_gets_gradients_and_all_of_it_does(adapter, network):
    gradients = move(backbone(adapter, network))
    assert all(g is None for name, g in gradients.items() if not name.startswith("reins."))
    own = {name: g for name, g in gradients.items() if name.startswith("reins.")}
    assert own and [name for name, g in own.items() if g is None or not g.any()] == []


def rein_step(adapter, index, block, tokens, prefix, options):
    """Refine the patches after a block by the paper's formula."""
    tokens, own = block(tokens, **options), adapter.tokens()[index]
    patches, width = tokens[:, prefix:], tokens.shape[-1]
    shares = (patches @ own.T / width**0.5).softmax(-1)
    delta = shares[..., 1:] @ adapter.mlp_token2feat(own[1:])
    refined = patches + adapter.scale * adapter.mlp_delta_f(delta + patches)
    return torch.cat((tokens[:, :prefix], refined), 1)


def vpt_step(adapter, index, block, tokens, prefix, options):
    """Keep prompts between prefix and patches; deep ones are replaced before each block."""
    prompts, start = adapter.prompts, prefix if index == 0 else prefix + adapter.num_tokens
    if adapter.deep or index == 0:
        own = prompts[index].expand(len(tokens), -1, -1)
        tokens = torch.cat((tokens[:, :prefix], own, tokens[:, start:]), 1)
    return block(tokens, **options)


class Parallel(nn.Module):
    """MLP(z) + 0.1 up(relu(down(z)))."""

    def __init__(self, mlp, down, up):
        super().__init__()
        self.mlp, self.down, self.up = mlp, down, up

    def forward(self, x):
        return self.mlp(x) + 0.1 * self.up(self.down(x).clamp(min=0))


def adaptformer_step(adapter, index, block, tokens, prefix, options):
    """Replace the feed-forward network by one with a bottleneck in parallel."""
    block.mlp = Parallel(block.mlp, adapter.down[index], adapter.up[index])
    return block(tokens, **options)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize(("adapter", "step"), [
    ("rein", rein_step), ("vpt", vpt_step), ("vpt_shallow", vpt_step),
    ("adaptformer", adaptformer_step)], ids=["rein", "vpt", "vpt_shallow", "adaptformer"])
@torch.no_grad()
def test_every_block_computes_the_formula(adapter, step, network):
    built, images = backbone(adapter, network).double(), IMAGES.double()
    for value in built.reins.parameters():
        value += torch.randn_like(value) * 0.2
    plain = copy.deepcopy(built.model)
    for module in plain.modules():
        module._forward_hooks.clear()
        module._forward_pre_hooks.clear()
    tokens, options = tokens_of(plain, images)
    patches = tokens.shape[1] - plain.num_prefix_tokens
    for index, (block, found) in enumerate(zip(plain.blocks, built(images).maps, strict=True)):
        tokens = step(built.reins, index, block, tokens, plain.num_prefix_tokens, options)
        expected = tokens[:, -patches:].transpose(1, 2).unflatten(2, found.shape[-2:])
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("adapter", "name", "bound"), [
    (dict(type="Reins", token_length=6), "learnable_tokens", math.sqrt(6 / (768 + 32))),
    ("rein", "learnable_tokens_b", math.sqrt(6 / (768 + math.sqrt(32 * 2)))),
    ("vpt", "prompts", math.sqrt(6 / (768 + 32))),
    ("lora", "blocks.0.mlp.fc1.lora_A.weight", 1 / math.sqrt(32)),
    ("adaptformer", "down.0.weight", 1 / math.sqrt(32))], ids=lambda value: str(value)[:20])
def test_random_starts_fill_the_published_range(adapter, name, bound):
    largest = backbone(adapter).reins.get_parameter(name).abs().max()
    assert 0.97 * bound < largest < bound


@pytest.mark.parametrize("adapter", [*STARTS_FROZEN, pytest.param(dict(
    type="Combined", adapters=[dict(LORA, type="DoRA"), dict(type="SoMA", rank=2)]), id="joined")])
def test_an_adapter_starts_as_the_frozen_network(adapter):
    built = backbone(adapter)
    torch.testing.assert_close(maps(built), frozen_maps(built), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("adapter", [*ADAPTERS, PEFT])
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


@pytest.mark.parametrize("adapter", [*ADAPTERS, PEFT])
def test_checkpointed_gradients_are_the_same(adapter):
    torch.manual_seed(2)
    plain, checkpointed = (move(backbone(adapter, with_cp=cp)) for cp in (False, True))
    for name, gradient in plain.items():
        if gradient is not None:
            torch.testing.assert_close(checkpointed[name], gradient)


@pytest.mark.parametrize("adapter", [*ADAPTERS, PEFT])
def test_bfloat16_autocast_trains(adapter):
    with torch.autocast("cpu", torch.bfloat16):
        gradients = move(backbone(adapter), steps=1)
    assert all(g.isfinite().all() for g in gradients.values() if g is not None)


@pytest.mark.faults
@pytest.mark.parametrize("adapter", ADAPTERS)
def test_compilation_keeps_the_gradients(adapter):
    plain, compiled = backbone(adapter), backbone(adapter)
    torch._dynamo.reset()
    compiled.compile(backend="eager")
    found = move(compiled)
    for name, gradient in move(plain).items():
        if gradient is not None:
            torch.testing.assert_close(found[name], gradient)


@pytest.mark.parametrize(("adapter", "network"), [pair for pair in PAIRS if pair[0] in FOLDS])
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
