"""A folded file gives the adapter's outputs without an adapter."""

import pytest
import torch
from conftest import build, tiny_model_config
from mmengine.config import Config
from own_adapters import Scales
from tiny_adapters import ADAPTERS, FOLDS, PEFT

from rein import checkpoint as ckpt
from rein.engine.inference import init_segmentor
from rein.engine.testing.record import describe_weights
from rein.engine.weights import folding
from rein.engine.weights.files import merge_files, split_file
from rein.engine.weights.folding import fold_adapter
from rein.engine.weights.loading import load_for_testing
from rein.errors import UserError
from rein.models.freezing import count_parameters
from rein.models.int8 import quantize_frozen

LORA = dict(type="LoRA", rank=2, targets=["q", "fc1"])
IMAGES = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def parts(tmp_path, adapter=None, **backbone):
    """Write a backbone and a trained adapter and head; return the model and the config."""
    torch.manual_seed(0)
    model_cfg = tiny_model_config()
    model_cfg["backbone"].pop("reins_config")
    if adapter and adapter["type"] == "sora":
        backbone = dict(type="DinoVisionTransformer", lora_cfg=adapter)
    elif adapter:
        backbone = dict(reins_config=adapter)
    model_cfg["backbone"].update(backbone)
    model_cfg["backbone"]["init_values"] = 1.0  # layer scale: blocks matter
    if not (adapter or {}).get("link_token_to_query"):
        model_cfg["decode_head"].update(linked_queries=False, replace_query_feat=False)
    model = build(model_cfg).eval()
    with torch.no_grad():
        for value in model.backbone.reins.parameters():
            value += torch.randn_like(value) * 0.1
    backbone, rest = ckpt.split(model.state_dict())
    ckpt.save_file(backbone, tmp_path / "backbone.pth")
    cfg = Config(dict(model=model_cfg))
    ckpt.save_file(dict(meta=dict(cfg=cfg.pretty_text), state_dict=rest), tmp_path / "trained.pth")
    return model, cfg


def test_a_folded_file_predicts_the_same_without_an_adapter(tmp_path):
    model, cfg = parts(tmp_path, LORA)
    out = merge_files(tmp_path / "backbone.pth", tmp_path / "trained.pth", tmp_path / "full.pth",
                      cfg, fold=True)
    assert not any(name.startswith("backbone.reins.") for name in ckpt.load_file(out)["state_dict"])
    folded = init_segmentor(out, out)
    assert folded.backbone.reins is None
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        for ours, theirs in zip(folded.backbone(images), model.backbone(images), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    record = describe_weights(folded, ckpt.load_file(out), str(out), cfg)
    assert record.trainable == count_parameters(model.backbone).trainable > 0


def test_a_folded_published_config_keeps_somas_network_and_its_freezing(tmp_path, monkeypatch):
    model, cfg = parts(tmp_path, type="DinoVisionTransformer", lora_cfg=dict(
        r=2, lora_alpha=2, target_modules=["q", "fc1"]))
    files = tmp_path / "backbone.pth", tmp_path / "trained.pth"
    out = merge_files(*files, tmp_path / "full.pth", cfg, fold=True)
    folded = init_segmentor(out, out)
    images = torch.randn(1, 3, 64, 128)  # another size than the position grid's
    with torch.no_grad():
        for ours, theirs in zip(folded.backbone(images), model.backbone(images), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    assert count_parameters(folded.backbone).trainable == 0
    record = describe_weights(folded, ckpt.load_file(out), str(out), cfg)
    assert record.trainable == count_parameters(model.backbone).trainable > 0
    quantize_frozen(folded)
    without_adapter = folding._without_adapter

    def with_another_network(cfg):
        cfg = without_adapter(cfg)
        del cfg.model.backbone.soma_network
        return cfg

    monkeypatch.setattr(folding, "_without_adapter", with_another_network)
    with pytest.raises(UserError, match="folding would change the features by"):
        merge_files(*files, tmp_path / "other.pth", cfg, fold=True)


@pytest.mark.parametrize("kind", ["LoRA", "SoMA", "BitFit"])
def test_weights_kept_in_bfloat16_are_folded_in_float32(tmp_path, kind):
    adapter = dict(LORA, type=kind) if kind != "BitFit" else dict(type=kind)
    model, cfg = parts(tmp_path, adapter)
    files = tmp_path / "backbone.pth", tmp_path / "trained.pth"
    expected = ckpt.load_file(
        merge_files(*files, tmp_path / "full.pth", cfg, fold=True))["state_dict"]
    cfg.model.backbone.frozen_dtype = "bf16"
    out = merge_files(*files, tmp_path / "half.pth", cfg, config=cfg, fold=True)
    found = ckpt.load_file(out)["state_dict"]
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], value) for name, value in expected.items())
    half = init_segmentor(out, out).backbone
    assert half.model.blocks[0].mlp.fc1.weight.dtype == torch.bfloat16  # as the config says
    with torch.no_grad():
        for ours, theirs in zip(half(IMAGES), model.backbone(IMAGES), strict=True):
            assert (ours - theirs).norm() < 0.05 * theirs.norm()


class OtherName(Scales):
    def fold(self):
        return {"blocks.0.mlp.fc3.weight": self.scales}


class OtherShape(Scales):
    def fold(self):
        return {"blocks.0.mlp.fc1.weight": self.scales}


class OtherChange(Scales):
    def fold(self):
        return {"blocks.0.norm1.weight": self.scales[0]}


class Nothing(Scales):
    def fold(self):
        return {}


@pytest.mark.parametrize("adapter, message", [
    (tiny_model_config()["backbone"]["reins_config"], "LoRAReins has no `fold`. .* such as Rein"),
    (dict(type="Combined", adapters=[LORA, dict(type="Scales")]), "Scales has no `fold`"),
    (dict(type="Nothing"), "Nothing folds into no changes"),
    (dict(type="OtherName"), r"OtherName.fold\(\) names blocks.0.mlp.fc3.weight, which is no "
     "parameter of the network; expected a name such as blocks.0.mlp.fc.*weight"),
    (dict(type="OtherShape"), r"OtherShape.fold\(\) gives blocks.0.mlp.fc1.weight a change of "
     r"shape \(2, 32\); expected the weight's, \(128, 32\)"),
    (dict(type="OtherChange"), r"folding would change .* OtherChange.fold\(\) does not amount")],
    ids=["rein", "combined", "nothing", "name", "shape", "change"])
def test_an_adapter_that_cannot_be_folded_is_named(tmp_path, registered, adapter, message):
    registered(Scales, Nothing, OtherName, OtherShape, OtherChange)
    _, cfg = parts(tmp_path, adapter)
    with pytest.raises(UserError, match=message):
        merge_files(tmp_path / "backbone.pth", tmp_path / "trained.pth", tmp_path / "full.pth",
                    cfg, fold=True)
    assert not (tmp_path / "full.pth").exists()


def test_adapters_whose_changes_do_not_add_up_are_refused(tmp_path):
    adapters = [dict(type="LoRA", rank=2), dict(type="DoRA", rank=2)]
    _, cfg = parts(tmp_path, dict(type="Combined", adapters=adapters))
    with pytest.raises(UserError, match="folding would .*Combined adapters can be"):
        merge_files(tmp_path / "backbone.pth", tmp_path / "trained.pth", tmp_path / "full.pth",
                    cfg, fold=True)
    assert not (tmp_path / "full.pth").exists()


@pytest.mark.parametrize(("adapter", "folds"), [
    *(pytest.param(adapter, name in FOLDS, id=name) for name, adapter in (
        ADAPTERS | dict(soma=dict(ADAPTERS["soma"], blocks=[1, 2]))).items()),
    pytest.param(*PEFT.values, True, id="peft", marks=PEFT.marks),
    pytest.param(dict(type="sora", r=2, lora_alpha=4, target_modules=["q", "fc1"]), True,
                 id="published")])
@torch.no_grad()
def test_every_adapter_merges_splits_and_loads_without_change(tmp_path, adapter, folds):
    model, cfg = parts(tmp_path, adapter)
    files = [tmp_path / name for name in ("backbone.pth", "trained.pth")]
    again = [tmp_path / name for name in ("backbone2.pth", "trained2.pth")]
    merged = merge_files(*files, tmp_path / "merged.pth", cfg)
    split_file(merged, *again)
    found = [init_segmentor(merged, merged)]
    for backbone, trained in (files, again):
        found.append(build(cfg.model).eval())
        load_for_testing(found[-1], ckpt.load_file(trained), trained, backbone)
    expected = model.backbone(IMAGES).maps
    for one in found:
        assert all(map(torch.equal, one.backbone(IMAGES).maps, expected))
    if not folds:
        return
    folded = merge_files(*files, tmp_path / "folded.pth", cfg, fold=True)
    plain = init_segmentor(folded, folded).backbone
    assert plain.reins is None
    torch.testing.assert_close(plain(IMAGES).maps, expected, rtol=1e-5, atol=2e-5)


def test_a_model_without_adapter_has_nothing_to_fold(tmp_path):
    _, cfg = parts(tmp_path, LORA)
    cfg.model.backbone.reins_config = None
    weights = build(cfg.model).state_dict()
    with pytest.raises(UserError, match="full.pth: its backbone has no adapter to fold"):
        fold_adapter(cfg, weights, "full.pth")
