"""The optimizer gets each trainable parameter once; layer decay, accumulation, annealing."""

import copy
import math

import pytest
import torch
from conftest import build
from mmengine.registry import HOOKS, OPTIM_WRAPPER_CONSTRUCTORS, PARAM_SCHEDULERS
from tiny_adapters import ADAPTERS, backbone
from tiny_networks import tiny_network
from torch import nn

from rein.engine.configs.reading import load_config
from rein.engine.training.optim import PEFTOptimWrapperConstructor, layer_powers
from rein.errors import UserError
from rein.models.adapters import AdaptFormer
from rein.models.stages import blocks_of


def test_only_trainable_parameters_are_optimized_each_once(tiny_model):
    make = PEFTOptimWrapperConstructor(
        dict(type="OptimWrapper", optimizer=dict(type="AdamW", lr=1e-4, weight_decay=0.05)),
        dict(custom_keys={"query_embed": dict(decay_mult=0.0)}, norm_decay_mult=0.0))
    groups = make(tiny_model).optimizer.param_groups
    optimized = [id(parameter) for group in groups for parameter in group["params"]]
    trainable = {id(p): name for name, p in tiny_model.named_parameters() if p.requires_grad}
    assert sorted(optimized) == sorted(trainable)
    for group in groups:
        (name,) = (trainable[id(parameter)] for parameter in group["params"])
        assert group["weight_decay"] == (0 if "query_embed" in name or "norm" in name
                                         or ".gn." in name else 0.05), name


def optimize(model, paramwise=None, **wrapper):
    return PEFTOptimWrapperConstructor(
        dict(type="OptimWrapper", optimizer=dict(type="AdamW", lr=1.0, weight_decay=0.05),
             **wrapper), paramwise)(model)


def rates(model, paramwise):
    names = {id(p): name for name, p in model.named_parameters()}
    return {names[id(group["params"][0])]: group["lr"]
            for group in optimize(model, paramwise).optimizer.param_groups}


def undecayed(model, config):
    """Return the trainable parameters without weight decay, as a config's optimizer has them."""
    names = {id(p): name for name, p in model.named_parameters()}
    paramwise = load_config(config).optim_wrapper.paramwise_cfg.to_dict()
    groups = optimize(model, paramwise).optimizer.param_groups
    return {names[id(group["params"][0])] for group in groups if group["weight_decay"] == 0}


REIN_CONFIG = "configs/dinov2/rein_dinov2_mask2former_512x512_bs1x4.py"


@pytest.mark.parametrize("make", [
    lambda: tiny_network("convnext"), lambda: tiny_network("dinov2"),
    lambda: backbone("combined")], ids=["staged", "plain", "combined"])
def test_tokens_and_scales_of_every_rein_adapter_have_no_decay(make):
    model = nn.Module()
    model.backbone = make()
    found = undecayed(model, REIN_CONFIG)
    expected = {name for name, p in model.named_parameters() if p.requires_grad and (
        name.endswith(".scale") or "learnable_tokens" in name)}
    assert found == expected and any(name.endswith(".scale") for name in found)


@pytest.mark.parametrize("adapter", ["lora", "dora", "vpt", "adaptformer", "bitfit", "norm"])
def test_of_other_adapters_only_norms_have_no_decay(adapter):
    model = nn.Module()
    model.backbone = backbone(adapter)
    assert undecayed(model, REIN_CONFIG) == {
        name for name, p in model.named_parameters() if p.requires_grad and "norm" in name}


@pytest.mark.parametrize("adapter, exempt", [
    ("vpt", "prompts"), ("dora", "magnitude"), ("bitfit", "reins")])
def test_configs_of_adapters_exempt_what_is_like_tokens_and_norms(adapter, exempt):
    model = nn.Module()
    model.backbone = backbone(adapter)
    config = f"configs/peft/{adapter}_dinov2_mask2former_512x512_bs1x4.py"
    assert undecayed(model, config) == {
        name for name, p in model.named_parameters() if p.requires_grad
        and ("norm" in name or exempt in name)}


def test_somas_recipe_exempts_queries_levels_and_norms(tiny_config):
    tiny_config.decode_head.update(linked_queries=False, replace_query_feat=False)
    tiny_config.backbone.reins_config = dict(type="SoMA", rank=2)
    model = build(tiny_config)
    found = undecayed(model, "configs/soma/soma_dinov2_mask2former_512x512_bs1x4.py")
    exempt = ("query_embed", "query_feat", "level_embed", "norm", ".gn.")
    assert found == {name for name, p in model.named_parameters() if p.requires_grad
                     and any(part in name for part in exempt)}


def test_layer_decay_lowers_learning_rates_towards_the_input(tiny_config):
    tiny_config.backbone.type = "DinoVisionTransformer"
    tiny_config.backbone.pop("reins_config")
    tiny_config.decode_head.update(linked_queries=False, replace_query_feat=False)
    found = rates(build(tiny_config), dict(
        layer_decay=0.5, custom_keys={"blocks.0.attn": dict(lr_mult=3.0)}))
    assert found["backbone.model.patch_embed.proj.weight"] == 0.5 ** 3
    assert found["backbone.model.cls_token"] == 0.5 ** 3
    assert found["backbone.model.blocks.0.mlp.fc1.weight"] == 0.5 ** 2
    assert found["backbone.model.blocks.0.attn.proj.weight"] == 3 * 0.5 ** 2
    assert found["backbone.model.blocks.1.mlp.fc1.weight"] == 0.5
    assert found["decode_head.cls_embed.weight"] == 1


def test_layer_decay_follows_an_adapters_blocks(tiny_config):
    tiny_config.backbone.reins_config = dict(type="Combined", adapters=[
        tiny_config.backbone.reins_config, dict(type="LoRA", rank=2)])
    found = rates(build(tiny_config), dict(layer_decay=0.5))
    prefix = "backbone.reins.adapters"
    assert found[f"{prefix}.1.blocks.0.attn.q.lora_A.weight"] == 0.5 ** 2
    assert found[f"{prefix}.1.blocks.1.attn.v.lora_B.weight"] == 0.5
    assert found[f"{prefix}.0.scale"] == 1


@pytest.mark.parametrize("adapter, first, last", [
    ("adaptformer", "down.0.weight", "up.3.bias"),
    ("bitfit", "blocks.0.mlp.fc1.bias", "blocks.3.norm1.bias"),
    (dict(type="Combined", adapters=[ADAPTERS["vpt"], ADAPTERS["adaptformer"]]),
     "adapters.1.up.0.weight", "adapters.1.down.3.bias")], ids=["own", "named", "combined"])
def test_layer_decay_reaches_every_adapter_with_parameters_of_a_block(adapter, first, last):
    model = nn.Module()
    model.backbone = backbone(adapter)
    found = rates(model, dict(layer_decay=0.5))
    assert [found[f"backbone.reins.{name}"] for name in (first, last)] == [0.5 ** 4, 0.5]
    assert found.get("backbone.reins.adapters.0.prompts", 1) == 1


def test_adaptformers_blocks_count_from_stride_4():
    adapter = AdaptFormer()
    adapter.down = nn.ModuleList(nn.Identity() for _ in range(3))
    blocks = ["stem.0", "stem.1", "stages.0", "stages.1", "stages.2"]
    assert [adapter.block_of(f"up.{i}.bias", blocks) for i in range(3)] == [2, 3, 4]


@pytest.mark.parametrize("make, reason", [
    (lambda: backbone("rein"), "no parameter of LoRAReins belongs to a single block"),
    (lambda: backbone("vpt"), "no parameter of VPT belongs to a single block"),
    (lambda: tiny_network("convnext"), "no parameter of StageAdapters belongs to"),
    (lambda: build(dict(type="VisionFoundationModel", model="resnet18")), "there is no adapter")],
    ids=["rein", "vpt", "staged", "none"])
def test_a_layer_decay_that_would_change_no_learning_rate_is_refused(make, reason):
    model = nn.Module()
    model.backbone, model.head = make(), nn.Linear(2, 2)
    with pytest.raises(UserError, match=f"layer_decay=0.9 changes no learning rate: .*{reason}"):
        optimize(model, dict(layer_decay=0.9))
    assert set(rates(model, dict(layer_decay=1)).values()) == {1}


@pytest.mark.parametrize(("network", "names"), [
    ("convnext_atto", ["stem.0.weight", "stages.0.blocks.0.gamma", "stages.1.downsample.1.weight",
                       "stages.3.blocks.1.gamma"]),
    ("resnet18", ["conv1.weight", "layer1.0.conv1.weight", "layer2.0.conv1.weight",
                  "layer4.1.conv1.weight"])])
def test_layer_decay_counts_blocks_over_all_stages(network, names):
    model = nn.Module()
    model.backbone = build(dict(type="VisionFoundationModel", model=network, frozen=False))
    found = rates(model, dict(layer_decay=0.5))
    blocks = len(blocks_of(model.backbone.model))
    layers = 0, 1, {"convnext_atto": 2, "resnet18": 3}[network], blocks
    assert [found[f"backbone.model.{name}"] for name in names] == [
        0.5 ** (blocks + 1 - layer) for layer in layers]


def test_layers_after_the_last_block_have_the_full_learning_rate():
    built = backbone("rein")
    powers = layer_powers(built)
    assert powers[built.model.norm.weight] == 0 and powers[built.model.blocks[3].norm1.weight] == 1


def test_a_layer_decay_that_cannot_work_is_refused(tiny_model):
    for wrong in (65, 0, True):
        with pytest.raises(UserError, match=rf"layer_decay={wrong}: expected a number in \(0, 1\]"):
            optimize(tiny_model, dict(layer_decay=wrong))
    model = nn.Module()
    model.backbone = nn.Linear(2, 2)
    with pytest.raises(UserError, match="Linear has no known blocks"):
        optimize(model, dict(layer_decay=0.5))


def test_accumulated_gradients_step_like_one_large_batch():
    torch.manual_seed(0)
    once, x = nn.Linear(3, 2), torch.randn(4, 3)
    parts = copy.deepcopy(once)
    optimize(once).update_params((once(x) ** 2).mean())
    wrapper, start = optimize(parts, accumulative_counts=2), parts.weight.detach().clone()
    wrapper.initialize_count_status(parts, 0, 4)
    for i, piece in enumerate(x.chunk(2)):
        assert torch.equal(parts.weight, start)  # until the last piece
        with wrapper.optim_context(parts):
            wrapper.update_params((parts(piece) ** 2).mean())
        assert torch.equal(parts.weight, start) == (i == 0)
    torch.testing.assert_close(parts.weight, once.weight)


def test_somas_recipe_anneals_weight_decay_and_builds(tiny_model):
    cfg = load_config("configs/soma/soma_dinov2_mask2former_512x512_bs1x4.py")
    wrapper = OPTIM_WRAPPER_CONSTRUCTORS.build(dict(
        type=cfg.optim_wrapper.constructor, optim_wrapper_cfg=dict(
            type="OptimWrapper", optimizer=cfg.optim_wrapper.optimizer),
        paramwise_cfg=cfg.optim_wrapper.paramwise_cfg))(tiny_model)
    names = {id(p): name for name, p in tiny_model.named_parameters()}
    group = next(group for group in wrapper.optimizer.param_groups
                 if names[id(group["params"][0])] == "backbone.reins.mlp_delta_f.weight")
    assert group["lr"] == pytest.approx(0.5e-4)  # the backbone's half
    poly, annealing = (PARAM_SCHEDULERS.build(dict(scheduler, end=100, optimizer=wrapper))
                       for scheduler in cfg.param_scheduler)
    for i in range(1, 100):
        wrapper.optimizer.step()
        poly.step()
        annealing.step()
        expected = 1e-5 + (0.05 - 1e-5) * (1 + math.cos(math.pi * i / 100)) / 2
        assert group["weight_decay"] == pytest.approx(expected, rel=1e-6)
    averaging = HOOKS.build(cfg.custom_hooks[0])
    assert averaging.begin_iter == 12000 and averaging.ema_cfg["momentum"] == 0.0002
