"""LoRA, DoRA and SoMA against their formulas."""

import pytest
import torch
from conftest import build
from tiny_adapters import NETWORKS, backbone
from torch import nn

from rein.errors import UserError
from rein.models.adapters import SoMA
from rein.models.adapters.soma import soma_config


def projection(adapter, name):
    """Return a projection's description and parameters, the latter moved off their start."""
    found = next(p for p in adapter.projections if p.name == name)
    part = adapter.part(found)
    with torch.no_grad():
        for parameter in part.parameters():
            parameter += torch.randn_like(parameter) * 0.1
    return found, part


@pytest.mark.parametrize("kind", ["LoRA", "DoRA", "SoMA"])
def test_a_joined_projection_changes_its_own_rows_by_the_formula(kind):
    adapter = backbone(dict(type=kind, rank=2, alpha=3, targets=["k"])).reins
    found, part = projection(adapter, "blocks.2.attn.k")
    x, layer = torch.randn(5, 32), found.layer
    weight, bias = layer.weight[32:64], layer.bias[32:64]
    product = 1.5 * part.lora_B.weight @ part.lora_A.weight
    if kind == "SoMA":
        product, bias = product - 1.5 * part.lora_B0 @ part.lora_A0, bias + part.bias
    changed = weight + product
    if kind == "DoRA":  # no gradient flows through the norm
        norm = changed.detach().norm(dim=1, keepdim=True)
        changed = part.magnitude[:, None] * changed / norm
    changed = x @ changed.T + bias
    expected = nn.functional.linear(x, layer.weight, layer.bias)
    torch.testing.assert_close(layer(x)[:, 32:64], changed, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(layer(x)[:, :32], expected[:, :32], rtol=0, atol=1e-6)
    gradients = (torch.autograd.grad(y.square().sum(), list(part.parameters()))
                 for y in (layer(x)[:, 32:64], changed))
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("options", "largest", "decay"), [
    (dict(), False, 0.9), (dict(alpha=6), False, 0.9), (dict(first_eigen=True), True, 0.9),
    (dict(weight_init="sora_niter_8"), True, 0.5)])  # steep: a randomised decomposition finds it
def test_soma_starts_from_the_smallest_or_largest_components(options, largest, decay):
    adapter = backbone(dict(type="SoMA", rank=3, targets=["fc1"], **options)).reins
    found = adapter.projections[0]
    with torch.no_grad():
        left, values, right = torch.linalg.svd(found.layer.weight, full_matrices=False)
        found.layer.weight.copy_(left * decay ** torch.arange(len(values)) @ right)
    torch.manual_seed(0)
    adapter.on_pretrained()
    left, values, right = torch.linalg.svd(found.layer.weight, full_matrices=False)
    chosen = slice(3) if largest else slice(-3, None)
    expected = left[:, chosen] * values[chosen] @ right[chosen]
    torch.testing.assert_close(
        adapter.scale_of(found) * adapter.part(found).product(), expected, rtol=1e-3, atol=2e-5)


def test_soma_ramps_its_rank():
    with torch.device("meta"):
        adapter = SoMA(rank=4, targets=["proj"], rank_ramp=True)
        network = nn.Module()
        network.blocks = nn.ModuleList(
            nn.ModuleDict(dict(proj=nn.Linear(64, 64))) for _ in range(24))
        adapter.attach(network, [list(network.blocks)], 1)
    ranks = [adapter.part(p).lora_A.out_features for p in adapter.projections]
    assert ranks == [4] * 12 + [8] * 4 + [16] * 4 + [32] * 4


def test_soma_needs_as_many_components_as_its_rank():
    with pytest.raises(UserError, match="rank=33, .*fc1, 128 x 32, has fewer singular components"):
        backbone(dict(type="SoMA", rank=33, targets=["fc1"]))


def test_published_configs_of_soma_are_randomised_by_default():
    assert soma_config(dict(r=2, start_lora_idx=3), 24) == dict(
        type="SoMA", rank=2, blocks=(3, 24), weight_init="sora_niter_4")


def test_doras_magnitudes_start_without_a_pretrained_file():
    built = build(dict(NETWORKS["plain"], reins_config=dict(type="DoRA", targets=["fc1"])))
    built.init_weights()
    for found in built.reins.projections:
        torch.testing.assert_close(
            built.reins.part(found).magnitude.detach(), found.layer.weight.norm(dim=1))


def test_an_unknown_start_of_soma_is_refused():
    with pytest.raises(UserError, match="weight_init='pissa' is unknown"):
        SoMA(weight_init="pissa")


def test_doras_norm_is_in_float32_also_in_autocast():
    adapter = backbone(dict(type="DoRA", rank=2, alpha=3, targets=["fc1"])).reins
    found, part = projection(adapter, "blocks.2.mlp.fc1")
    weight = found.layer.weight.detach()
    changed = weight + 1.5 * (part.lora_B.weight @ part.lora_A.weight).detach()
    expected = part.magnitude.detach() / changed.norm(dim=1)
    x = torch.randn(5, 32)
    with torch.autocast("cpu", torch.bfloat16):
        ratio = adapter._ratio(part, weight, 1.5)
        found.layer(x).float().square().sum().backward()
    assert ratio.dtype == torch.float32
    torch.testing.assert_close(ratio.detach(), expected, rtol=1e-6, atol=1e-6)
    assert torch.equal(adapter._ratio(part, weight, 1.5), ratio)
    assert all(p.grad is not None and p.grad.any() for p in part.parameters())
