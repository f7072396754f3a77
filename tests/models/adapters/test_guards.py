"""What would have no effect is refused: dropout, layers without gradient, missing packages."""

import sys

import pytest
import timm
import torch
from conftest import build
from tiny_adapters import ADAPTERS, IMAGES, LORA, NETWORKS, backbone
from tiny_networks import ADAPTER as REIN
from tiny_networks import tiny_network

import rein
from rein.errors import UserError
from rein.models.adapters import SoMA
from rein.models.adapters.soma import soma_config


def test_dropout_that_would_have_no_effect_is_refused(tiny_config):
    with pytest.raises(UserError, match="SoMA: dropout=0.1 has no effect"):
        SoMA(dropout=0.1)
    with pytest.raises(UserError, match="lora_dropout has no effect in SoMA"):
        soma_config(dict(type="sora", lora_dropout=0.1), 4)
    with pytest.raises(UserError, match="drop_path_rate=0.1 has no effect in a frozen network"):
        build(dict(NETWORKS["rotary"], drop_path_rate=0.1))
    assert build(dict(NETWORKS["rotary"], drop_path_rate=0.1, frozen=False))


@pytest.mark.parametrize("adapter", [
    dict(LORA, dropout=0.5), dict(LORA, type="DoRA", dropout=0.5),
    dict(type="VPT", num_tokens=5, dropout=0.5),
    dict(type="AdaptFormer", hidden_dims=6, dropout=0.5)], ids=lambda a: a["type"])
def test_dropout_of_an_adapter_acts_in_training_only(adapter):
    built = backbone(adapter)
    for parameter in built.reins.parameters():
        parameter.data += 0.1
    with torch.no_grad():
        still = [built.eval()(IMAGES).maps[-1] for _ in range(2)]
        moving = [built.train()(IMAGES).maps[-1] for _ in range(2)]
    assert torch.equal(*still) and not torch.equal(*moving)


@pytest.mark.parametrize(("changes", "message"), [
    (dict(type="lora"), "lora_cfg: type 'lora' is unknown; known: 'sora'"),
    (dict(rr=2), "lora_cfg has no argument 'rr'")], ids=["type", "key"])
def test_a_published_config_of_another_adapter_is_refused(changes, message):
    with pytest.raises(UserError, match=message):
        soma_config(changes, 4)


def test_an_adapter_of_a_wholly_frozen_segmentor_is_refused(tiny_config):
    tiny_config.type = "FrozenBackboneEncoderDecoder"
    with pytest.raises(UserError, match="its adapter LoRAReins would not train"):
        build(tiny_config)


@pytest.mark.parametrize("adapter", [
    dict(type="LoRA", targets=["qkv"]),
    dict(type="Peft", config=dict(peft_type="LORA", target_modules=["qkv"]))], ids=["LoRA", "Peft"])
def test_layers_of_which_none_is_called_are_refused(adapter):
    if adapter["type"] == "Peft":
        pytest.importorskip("peft", reason="needs the extra `peft`")
    network = timm.create_model(
        "eva02_tiny_patch14_224", img_size=56, embed_dim=32, depth=2, num_heads=2, num_classes=0)
    built = build(dict(type="VisionFoundationModel", model=network, reins_config=adapter))
    with pytest.raises(UserError, match=r"does not call blocks\.0\.attn\.qkv \(of 2"):
        built(IMAGES)


def test_a_missing_peft_is_one_clear_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(UserError, match="needs Hugging Face's peft.*pip install peft"):
        backbone(dict(type="Peft", config=dict(peft_type="LORA", target_modules=["qkv"])))


def test_adaptformer_names_what_a_block_lacks():
    with pytest.raises(UserError, match="Bottleneck has no `mlp` with a linear `fc2`"):
        tiny_network("resnet", reins_config=dict(type="AdaptFormer"))
    with pytest.raises(UserError, match="ConvNeXtBlock has no `mlp` with a linear `fc2`"):
        tiny_network("convnext", conv_mlp=True, reins_config=dict(type="AdaptFormer"))


@pytest.mark.parametrize(("name", "message"), [
    ("samvit_base_patch16", "blocks that take tokens; those of VisionTransformerSAM take maps"),
    ("beit_base_patch16_224", "of Beit has relative positions .blocks.0.attn.relative_position_"),
    ("vit_relpos_small_patch16_224", "relative positions .blocks.0.attn.rel_pos.mlp"),
    ("convit_tiny", "relative positions .blocks.0.attn.pos_proj")])
def test_prompts_are_refused_where_attention_cannot_take_them(name, message):
    with torch.device("meta"):
        network = timm.create_model(name)
    with pytest.raises(UserError, match=message):
        rein.add_adapter(network, "vpt")


@pytest.mark.parametrize("adapter", [*ADAPTERS, "peft"])
def test_an_adapter_of_blocks_after_the_last_map_is_refused(adapter):
    if adapter == "peft":
        pytest.importorskip("peft", reason="needs the extra `peft`")
    config = ADAPTERS.get(adapter) or dict(
        type="Peft", config=dict(peft_type="LORA", target_modules=["fc1"]))
    with pytest.raises(UserError, match=r"changes blocks\.2.*, after the last map of blocks "
                       r"\[0, 0, 1, 1\].*Name the last one in out_indices"):
        backbone(config, out_indices=[0, 0, 1, 1])


@pytest.mark.parametrize("adapter", [dict(type="BitFit"), REIN])
def test_an_adapter_of_stages_after_the_last_map_is_refused(adapter):
    with pytest.raises(UserError, match=r"changes stages\.3.*after the last map of stages \[0, 2"):
        tiny_network("convnext", out_indices=[0, 2], reins_config=adapter)


def test_an_adapter_of_earlier_blocks_may_end_with_them():
    built = backbone(dict(LORA, blocks=[0, 2]), out_indices=[0, 0, 1, 1])
    sum(m.sum() for m in built(IMAGES).maps).backward()
    assert all(p.grad is not None for p in built.reins.parameters())
