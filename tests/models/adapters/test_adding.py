"""Adapters train on a user's own timm network, whose weights and mode stay as they are."""

import copy
import pickle

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


@pytest.mark.parametrize("make, found", [
    (lambda: rein.add_adapter(network(), "lora", rank=2).state_dict(), "Missing key"),
    (lambda: rein.add_adapter(network(), "rein", token_length=9, lora_dim=2).state_dict(),
     "size mismatch for learnable_tokens_a"),
    (lambda: dict(meta={}, state_dict={"backbone.reins.scale": torch.ones(())}), "Missing key")],
    ids=["kind", "options", "checkpoint"])
def test_weights_of_another_adapter_are_refused_in_one_line(make, found):
    adapter = rein.add_adapter(network(), "rein", **OPTIONS["rein"])
    with pytest.raises(UserError, match=f"LoRAReins: these weights do not .*{found}") as caught:
        adapter.load_state_dict(make())
    assert "\n" not in str(caught.value)


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


def test_frozen_parts_beside_a_thawed_block_stay_in_evaluation_mode():
    model = timm.create_model("efficientnet_b0")
    rein.add_adapter(model, "bitfit")
    model.blocks[6].requires_grad_(True)
    model.train()
    before = {name: value.clone() for name, value in model.named_buffers()}
    with torch.no_grad():
        model(images(64))
    changed = {name for name, now in model.named_buffers() if not torch.equal(now, before[name])}
    assert changed == {name for name in before if name.startswith("blocks.6.")}


def test_dropout_acts_in_the_adapter_and_in_parts_that_train_as_a_whole():
    model = network(drop_path_rate=0.5, proj_drop_rate=0.5)
    adapter = rein.add_adapter(model, "lora", rank=2, dropout=0.5)
    model.blocks[2].requires_grad_(True)
    model.blocks[3].attn.proj.requires_grad_(True)
    next(adapter.parameters()).requires_grad_(False)
    model.train()
    acting = {name.rpartition(".")[0] for name, part in model.named_modules()
              if part.training and "drop" in name}
    assert acting == {"adapter", "blocks.2", "blocks.2.attn", "blocks.2.mlp"}


@pytest.mark.parametrize("trains", [True, False])
def test_an_adapter_takes_the_networks_mode(trains):
    model = network().train(trains)
    assert rein.add_adapter(model, "vpt", num_tokens=3, dropout=0.5).training == trains
    with torch.no_grad():
        assert torch.equal(model(images()), model(images())) != trains


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


def looks(model):
    """Describe everything of a network that an adapter may change."""
    parts = {name: (module.training, sorted(vars(module)), list(module._forward_hooks.values()),
                    list(module._forward_pre_hooks.values()), list(module._modules.values()),
                    getattr(module, "num_prefix_tokens", None))
             for name, module in model.named_modules()}
    return parts, {name: p.requires_grad for name, p in model.named_parameters()}


@pytest.mark.parametrize("name, adapter, message", [
    ("dinov2", dict(type="LoRA", ranks=2), "no argument 'ranks'"),
    ("dinov2", "EncoderOnlyQueries", "for configs only"),
    ("dinov2", dict(type="LoRA", rank=0), "LoRA: rank=0; expected a whole number from 1"),
    ("dinov2", dict(type="SoMA", rank=1000), "SoMA: rank=1000, but .* has fewer singular"),
    ("eva02", dict(type="Combined", adapters=["x"]), "an adapter's config is 'x'"),
    ("eva02", dict(type="Combined", adapters=[
        dict(type="vpt"), dict(type="LoRA", targets=["q_"])]), "no such linear layer"),
    ("dinov2", dict(type="LoRA", blocks=3), "blocks=3: the backbone has blocks 0 to 3"),
    ("resnet", "lora", "the blocks of ResNet have no linear layers"),
    ("resnet", "vpt", "VPT needs a plain vision transformer")])
def test_after_an_error_the_network_is_as_it_was(name, adapter, message):
    model = network(name).train()
    next(model.parameters()).requires_grad_(False)
    handle = next(model.children()).register_forward_hook(lambda *unused: None)
    before, weights = looks(model), copy.deepcopy(model.state_dict())
    with pytest.raises(UserError, match=message):
        rein.add_adapter(model, adapter)
    assert looks(model) == before
    assert all(torch.equal(value, weights[key]) for key, value in model.state_dict().items())
    handle.remove()  # the user's own hook
    assert not next(model.children())._forward_hooks
    rein.add_adapter(model, "bitfit")


def test_an_error_while_starting_from_the_weights_leaves_them(monkeypatch):
    model = network().train()
    before = looks(model)
    monkeypatch.setattr("torch.linalg.svd", lambda *unused, **options: 1 / 0)
    with pytest.raises(UserError, match="does not take this adapter: ZeroDivisionError"):
        rein.add_adapter(model, "soma")
    assert looks(model) == before


@pytest.mark.parametrize("make, message", [
    (lambda: nn.Sequential(nn.Linear(3, 3)), "Sequential cannot take an adapter: expected a net"),
    (lambda: timm.create_model("mixer_s32_224"), "MlpMixer cannot take an adapter"),
    (lambda: timm.create_model("levit_128s"), "LevitDistilled has maps at strides"),
    (lambda: timm.create_model("swin_tiny_patch4_window7_224"), "Create it for any size"),
    (lambda: nn.ModuleDict({"_orig_mod": network()}), "compiled already. Add the adapter first"),
    (lambda: "vit_tiny", "of type str; expected a module")],
    ids=["sequential", "mixer", "levit", "swin", "compiled", "name"])
def test_networks_that_take_no_adapter_are_refused_in_one_line(make, message):
    with torch.device("meta"):
        model = make()
    with pytest.raises(UserError, match=message) as caught:
        rein.add_adapter(model, "rein")
    assert "\n" not in str(caught.value)
    assert isinstance(model, str) or all(p.requires_grad for p in model.parameters())


@pytest.mark.parametrize("name", ["dinov2", "convnext"])
def test_joined_adapters_take_their_sizes_from_the_network(name):
    model = network(name)
    adapter = rein.add_adapter(model, "Combined", adapters=[
        dict(type="rein", **OPTIONS["rein"]), dict(type="bitfit")])
    model(images(64 if name == "convnext" else 56)).square().mean().backward()
    assert all(p.grad is not None for p in adapter.parameters())


@pytest.mark.parametrize("kind", ["rein", "dora"])
def test_an_adapter_has_the_networks_number_format_and_is_pickled_with_it(kind):
    model = network().to(torch.bfloat16)
    adapter = rein.add_adapter(model, kind, **OPTIONS[kind])
    assert all(p.dtype == torch.bfloat16 for p in adapter.parameters())
    expected = model(images().bfloat16())
    again = pickle.loads(pickle.dumps(model))
    assert torch.equal(again(images().bfloat16()), expected)
    assert not again.train().blocks[0].training and again.adapter.training
