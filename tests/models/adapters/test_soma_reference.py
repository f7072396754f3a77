"""SoMA against the numbers of its published program."""

import json

import pytest
import torch
from conftest import ROOT, build

from rein import checkpoint as ckpt
from rein.engine.weights.loading import load_for_testing
from rein.models.adapters import SoMA

FOLDER = ROOT.parent / "shared/reference"
pytestmark = pytest.mark.skipif(
    not (FOLDER / "tiny_soma.pt").exists(), reason="needs the reference numbers")
CLOSE = dict(rtol=1e-5, atol=1e-5)


@pytest.fixture(scope="module")
def reference():
    return torch.load(FOLDER / "tiny_soma.pt", weights_only=True)


@pytest.fixture
def model():
    return build(json.loads((FOLDER / "tiny_soma.json").read_text())).eval()


def assert_maps(model, images, expected):
    with torch.no_grad():
        pyramid = list(model.backbone(images))
    for ours, theirs in zip(pyramid, expected, strict=True):
        torch.testing.assert_close(ours, theirs, **CLOSE)


def base(reference):
    """Return the plain network under joined names."""
    prefixed = {f"backbone.model.{n}": v for n, v in reference["base"].items()}
    renamed = ckpt.from_published_soma(prefixed)
    return {name.removeprefix("backbone."): value for name, value in renamed.items()}


def adapter_only(reference):
    keys = json.loads((FOLDER / "tiny_soma_published_keys.json").read_text())
    return dict(state_dict={key: reference["state_dict"][key] for key in keys})


def test_it_starts_as_the_plain_network_with_the_published_factors(model, reference):
    model.backbone.load_pretrained(base(reference), "base")
    assert_maps(model, reference["x"], reference["init_feats"])
    adapter, start = model.backbone.reins, reference["init_state"]
    assert isinstance(adapter, SoMA)
    for projection in adapter.projections:
        name = f"backbone.model.{projection.name}"
        product = start[f"{name}.lora_B.weight"] @ start[f"{name}.lora_A.weight"]
        torch.testing.assert_close(adapter.part(projection).product(), product, **CLOSE)


def test_a_full_published_checkpoint_loads_unmodified(model, reference):
    load_for_testing(model, dict(state_dict=reference["state_dict"]), "full.pth")
    assert_maps(model, reference["x"], reference["feats"])
    assert_maps(model, reference["x2"], reference["feats2"])


@pytest.mark.parametrize(("from_paper", "expected"), [
    (False, "published_merge_feats"), (True, "feats")])
def test_an_adapter_only_file_is_read_either_way(
        model, reference, tmp_path, from_paper, expected):
    model.backbone.reins.from_paper = from_paper
    torch.save(base(reference), tmp_path / "base.pth")
    load_for_testing(model, adapter_only(reference), "adapter.pth", tmp_path / "base.pth")
    assert_maps(model, reference["x"], reference[expected])


def test_merging_an_adapter_only_file_equals_the_published_merge(model, reference):
    trained = ckpt.state_dict_of(adapter_only(reference))
    assert ckpt.identify(adapter_only(reference)).kind is ckpt.Kind.TRAINED
    load_for_testing(model, dict(state_dict=ckpt.merge(base(reference), trained)), "merged.pth")
    assert_maps(model, reference["x"], reference["published_merge_feats"])


def test_folded_weights_equal_the_adapter(model, reference):
    load_for_testing(model, dict(state_dict=reference["state_dict"]), "full.pth")
    network = dict(model.backbone.model.named_parameters())
    for name, delta in model.backbone.reins.fold().items():
        network[name].data += delta
    for projection in model.backbone.reins.projections:
        projection.layer._forward_hooks.clear()
    model.backbone.reins = None
    assert_maps(model, reference["x"], reference["merged_feats"])


def test_what_trains_is_what_the_published_program_trains(model):
    trained = sum(p.numel() for n, p in model.backbone.named_parameters() if p.requires_grad)
    factors = sum(p.numel() for n, p in model.backbone.named_parameters() if "lora_" in n)
    assert trained == factors + 3 * (4 * 48 + 192 + 48)  # biases of blocks 1 to 3
