"""The examples of docs/extending*.md run: a backbone, an adapter, a head.

The dataset's is run in tests/datasets/test_adding_a_dataset.py.
"""

import copy
import shutil

import pytest
import timm
import torch
from commands import run_tool
from conftest import build, tiny_model_config
from doc_blocks import ROOT, commands, example_files
from mmengine.config import Config
from mmseg.registry import MODELS
from tiny_rein import batch

from rein import checkpoint as ckpt
from rein.errors import UserError
from rein.models.freezing import trained_state_dict

GUIDE = ROOT / "docs/extending.md"
FILES = example_files(GUIDE) | example_files(ROOT / "docs/extending_adapter.md")


@pytest.fixture(autouse=True)
def registry(monkeypatch):
    """What an example registers is forgotten after its test."""
    monkeypatch.setattr(MODELS, "_module_dict", dict(MODELS._module_dict))


def run(name):
    """Run an example's module."""
    exec(FILES[name], {"__name__": name.removesuffix(".py").replace("/", ".")})


def example_config(name, tmp_path):
    """Read an example's config, from where it would lie."""
    shutil.copytree(ROOT / "configs", tmp_path / "configs", dirs_exist_ok=True)
    target = tmp_path / name
    target.parent.mkdir(exist_ok=True)
    target.write_text(FILES[name])
    return Config.fromfile(target).model


def tiny(example):
    """Shrink an example's DINOv2-L and its head, and leave what the example has of its own."""
    cfg, small = copy.deepcopy(example), tiny_model_config()
    adapter = cfg.backbone.pop("reins_config")
    if adapter.type == "LoRAReins":
        adapter.update(
            small.backbone.reins_config, link_token_to_query=adapter.link_token_to_query)
    small.backbone.pop("reins_config")
    cfg.backbone = Config(dict(small.backbone, reins_config=adapter))._cfg_dict
    if cfg.decode_head.type == "ReinMask2FormerHead":
        flags = {key: cfg.decode_head[key] for key in ("linked_queries", "replace_query_feat")}
        cfg.decode_head = small.decode_head
        cfg.decode_head.update(flags)
    else:
        cfg.decode_head.in_channels = [32] * 4
    cfg.data_preprocessor, cfg.test_cfg = small.data_preprocessor, small.test_cfg
    return cfg


def train(model, steps=2, inputs=None):
    """Train a few steps on one batch; return the names whose gradients are not zero."""
    images, samples = inputs or batch()
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-3)
    model.train()
    for _ in range(steps):
        optimizer.zero_grad()
        losses = model(images, samples, mode="loss")
        sum(value for key, value in losses.items() if "loss" in key).backward()
        optimizer.step()
    return {name for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}


def features(model):
    """Return the maps of a fixed image."""
    with torch.no_grad():
        return torch.cat([x.flatten() for x in model.eval().extract_feat(batch()[0])])


def test_a_network_of_timm_is_a_config(tmp_path, monkeypatch):
    """Full size; its weights go through the printed command."""
    monkeypatch.chdir(tmp_path)
    network = timm.create_model("eva02_tiny_patch14_224", num_classes=0)
    command, = commands(GUIDE)
    ckpt.save_file(network.state_dict(), tmp_path / command[2])
    run_tool(ROOT / command[1], *command[2:], cwd=tmp_path)
    cfg = example_config("configs/eva02/rein_eva02_tiny_mask2former_512x512.py", tmp_path)
    model = build(cfg)
    model.init_weights()
    assert torch.equal(
        model.backbone.model.blocks[3].attn.proj.weight, network.blocks[3].attn.proj.weight)
    images, samples = batch()
    used = train(model, steps=1)
    assert any(name.startswith("backbone.reins.") for name in used)
    assert not any(name.startswith("backbone.model.") for name in used)
    with torch.no_grad():
        result = model.eval()(images, samples, mode="predict")
    assert result[0].pred_sem_seg.data.shape == (1, 64, 64)


def test_a_published_type_name_is_a_thin_builder():
    run("rein/models/backbones/village_vit.py")
    cfg = tiny_model_config()
    cfg.backbone = dict(
        type="VillageViT", img_size=64, width=32, layers=2, heads=2,
        reins_config=cfg.backbone.reins_config)
    model = build(cfg)
    used = train(model)
    assert any(name.startswith("backbone.reins.") for name in used)
    assert not any(name.startswith("backbone.model.") for name in used)
    assert {"backbone.blocks.1.norm1.weight", "backbone.reins.scale"} <= set(model.state_dict())
    with pytest.raises(Exception, match="VillageViT has no argument 'widht'.*'width'"):
        build(dict(cfg.backbone, widht=64))


@pytest.fixture
def lora(tmp_path):
    """Config of a tiny model with the example's adapter."""
    run("rein/models/adapters/qkv_lora.py")
    cfg = tiny(example_config(
        "configs/dinov2/qkv_lora_dinov2_mask2former_512x512_bs1x4.py", tmp_path))
    cfg.backbone.reins_config.rank = 4
    cfg.backbone.init_values = 1.0  # layer scale: attention matters
    return cfg


def test_the_adapter_starts_without_effect_from_the_pretrained_weights(lora):
    torch.manual_seed(0)
    model = build(lora)
    strong = torch.nn.functional.normalize(torch.randn(32), dim=0)
    model.backbone.model.blocks[0].attn.qkv.weight.data += torch.outer(torch.ones(96), strong)
    model.backbone.init_weights()
    assert (model.backbone.reins.a[0] @ strong).norm() > 0.99
    plain = copy.deepcopy(model)
    for block in plain.backbone.model.blocks:
        block.attn.qkv._forward_hooks.clear()
    assert torch.equal(features(model), features(plain))


def test_the_adapter_starts_from_bfloat16_weights_and_only_in_blocks_that_run(lora):
    model = build(lora)
    model.backbone.model.to(torch.bfloat16)
    model.backbone.reins.on_pretrained()
    assert all(a.isfinite().all() for a in model.backbone.reins.a)
    with pytest.raises(UserError, match="QkvLoRA changes blocks.1.attn.qkv, after the last map"):
        build(dict(lora.backbone, out_indices=[0, 0, 0, 0]))


def test_the_adapter_trains_alone_and_its_state_returns(lora):
    torch.manual_seed(0)
    model = build(lora)
    model.backbone.init_weights()
    frozen = copy.deepcopy(model.backbone.model.state_dict())
    start = features(model)
    used = {name for name in train(model) if name.startswith("backbone.")}
    own = {f"backbone.reins.{name}" for name, _ in model.backbone.reins.named_parameters()}
    assert used == own and len(own) == 4
    assert all(torch.equal(p, frozen[n]) for n, p in model.backbone.model.state_dict().items())
    assert not torch.equal(features(model), start)

    saved = trained_state_dict(model)
    assert {name for name in saved if name.startswith("backbone.")} == own
    other = build(lora)
    other.load_state_dict(
        ckpt.merge(ckpt.split(model.state_dict()).backbone, saved))
    assert torch.equal(features(other), features(model))


def test_the_adapter_folds_into_the_frozen_weights(lora):
    torch.manual_seed(0)
    model = build(lora)
    torch.nn.init.normal_(model.backbone.reins.b[1])
    lora.backbone.reins_config = None
    folded = build(lora)
    weights = ckpt.split(model.state_dict()).backbone
    for name, delta in model.backbone.reins.fold().items():
        weights[name] = weights[name] + delta.detach()
    folded.backbone.load_state_dict(weights)
    torch.testing.assert_close(features(folded), features(model), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("own", [False, True])
def test_a_stock_head_is_a_config_and_an_own_head_one_file(own, tmp_path):
    cfg = tiny(example_config(
        "configs/dinov2/rein_dinov2_segformer_512x512_bs1x4.py", tmp_path))
    if own:
        run("rein/models/decode_heads/linear_head.py")
        cfg.decode_head = dict(type="LinearHead", in_channels=[32] * 4, num_classes=19)
    model = build(cfg)
    used = train(model)
    assert {name for name in used if name.startswith("decode_head.")} == {
        f"decode_head.{name}" for name, _ in model.decode_head.named_parameters()}
    assert any(name.startswith("backbone.reins.") for name in used)
    images, samples = batch()
    with torch.no_grad():
        result = model.eval()(images, samples, mode="predict")
    assert result[0].pred_sem_seg.data.shape == (1, 64, 64)
    assert model.extract_feat(images).queries is None
