"""Methods of peft work as adapters: frozen names stay, own parameters train, fold, reload."""

import copy

import pytest
import timm
import torch
from conftest import build
from processes import in_processes
from tiny_adapters import IMAGES, NETWORKS, backbone
from tiny_project import losses_of_training, write_project

import rein
from rein.errors import UserError
from rein.models.freezing import trained_state_dict
from rein.models.int8 import quantize_frozen

pytest.importorskip("peft", reason="needs the extra `peft`")
TARGETS = ["qkv", "proj", "fc1"]
METHODS = {
    "lora": dict(peft_type="LORA", r=2, target_modules=TARGETS),
    "dora": dict(peft_type="LORA", r=2, use_dora=True, target_modules=TARGETS),
    "ia3": dict(peft_type="IA3", target_modules=["qkv", "fc2"], feedforward_modules=["fc2"]),
    "loha": dict(peft_type="LOHA", r=2, target_modules=TARGETS),
    "oft": dict(peft_type="OFT", oft_block_size=8, target_modules=TARGETS),
}


def peft(method="lora", **changes):
    return backbone(dict(type="Peft", config={**METHODS[method], **changes}))


def maps(built):
    with torch.no_grad():
        return torch.cat([m.flatten() for m in built(IMAGES).maps])


def frozen_maps(built):
    """Compute the maps of the same network without an adapter."""
    plain = copy.deepcopy(built)
    for module in plain.model.modules():
        vars(module).pop("forward", None)
    return maps(plain)


def move(built, steps=2):
    """Train a few steps; return the gradients."""
    optimizer = torch.optim.AdamW([p for p in built.parameters() if p.requires_grad], lr=1e-2)
    for _ in range(steps):
        optimizer.zero_grad()
        sum(((m - 1) ** 2).mean() for m in built.train()(IMAGES).maps).backward()
        optimizer.step()
    built.eval()
    return {name: p.grad for name, p in built.named_parameters()}


@pytest.mark.parametrize("method", METHODS)
def test_a_method_trains_alone_reloads_and_folds(method):
    built = peft(method)
    torch.testing.assert_close(maps(built), frozen_maps(built), rtol=1e-5, atol=1e-5)
    frozen = copy.deepcopy(built.model.state_dict())
    gradients = move(built)
    own = {name for name, _ in built.named_parameters() if name.startswith("reins.")}
    assert own and {name for name, g in gradients.items() if g is not None and g.any()} == own
    assert all(torch.equal(v, frozen[n]) for n, v in built.model.state_dict().items())
    plain = build(dict(NETWORKS["plain"], type="DinoVisionTransformer")).state_dict()
    assert {n for n in built.state_dict() if not n.startswith("reins.")} == plain.keys()
    assert all(n.startswith("reins.blocks.") for n in trained_state_dict(built))

    again = peft(method)
    again.load_state_dict(built.state_dict())
    assert torch.equal(maps(again), maps(built))
    assert torch.equal(maps(copy.deepcopy(built)), maps(built))
    expected, folded = maps(built), copy.deepcopy(built)
    for name, delta in built.reins.fold().items():
        folded.model.get_parameter(name).data += delta
    torch.testing.assert_close(frozen_maps(folded), expected, rtol=1e-5, atol=2e-5)


def test_lora_equals_our_own():
    ours = backbone(dict(type="LoRA", rank=2, alpha=8, targets=TARGETS))
    theirs = peft(lora_alpha=8)
    for name, parameter in ours.reins.named_parameters():
        parameter.data.normal_(std=0.1)
        theirs.reins.get_parameter(name.replace(".weight", ".default.weight")).data.copy_(parameter)
    torch.testing.assert_close(maps(theirs), maps(ours), rtol=1e-6, atol=1e-6)


def test_dropout_acts_in_training_only():
    built = peft(lora_dropout=0.5)
    move(built)
    assert torch.equal(maps(built), maps(built))
    assert not torch.equal(maps(built.train()), maps(built))


def test_what_would_change_the_frozen_network_is_refused():
    for changes, message in [
        (dict(bias="all"), "trains blocks.0.*bias='none'"),
        (dict(modules_to_save=["norm1"]), "replaces modules"),
        (dict(init_lora_weights="pissa"), "initialisation changes blocks.0.attn.qkv.weight.*SoMA"),
    ]:
        with pytest.raises(UserError, match=message):
            peft(**changes)


def test_a_wrong_config_is_refused_in_one_line():
    for changes, message in [
        (dict(peft_type="LORE"), "peft_type='LORE' is unknown; known: .*LORA"),
        (dict(lora_alfa=3), "has no field 'lora_alfa'. Did you mean 'lora_alpha'"),
        (dict(target_modules=["query"]), "query"),
        (dict(peft_type="ADALORA"), "by calls in the training loop"),
    ]:
        with pytest.raises(UserError, match=message) as error:
            peft(**changes)
        assert "\n" not in str(error.value)


def test_a_method_with_values_that_no_checkpoint_holds_is_refused():
    with pytest.raises(UserError, match="values besides its weights that no checkpoint would"):
        backbone(dict(type="Peft", config=dict(peft_type="OSF", target_modules=["fc1"])))


def test_a_target_is_searched_in_the_blocks_only():
    assert not any("patch_embed" in name for name in peft().reins.names)


def test_int8_is_refused():
    model = torch.nn.Module()
    model.backbone = peft()
    with pytest.raises(UserError, match="int8 replaces frozen layers.*--fold"):
        quantize_frozen(model)


@pytest.mark.faults
def test_compiled_training_in_two_processes_equals_that_in_one(tmp_path):
    cfg = write_project(tmp_path, images=2)
    cfg.model.backbone.reins_config = dict(type="Peft", config=METHODS["lora"])
    cfg.model.decode_head.update(linked_queries=False, replace_query_feat=False)
    cfg.model.decode_head.loss_cls.class_weight = [1.0] * 20  # else each process has its own sum
    cfg.train_dataloader.batch_size = 2
    alone = losses_of_training(cfg, tmp_path / "one")
    cfg.train_dataloader.batch_size, cfg.compile = 1, dict(backend="eager")
    cfg.visualizer.name = "two"
    both = in_processes(losses_of_training, 2, tmp_path, cfg, tmp_path / "two", "pytorch")
    torch.testing.assert_close(
        torch.tensor(both).mean(0), torch.tensor(alone), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("changes", [
    dict(init_lora_weights="pissa"), dict(bias="all"), dict(modules_to_save=["norm1"]),
    dict(target_modules=["none"])], ids=str)
def test_a_refused_method_leaves_a_users_network_as_it_was(changes):
    network = timm.create_model(
        "vit_tiny_patch16_224", img_size=32, embed_dim=24, depth=2, num_heads=2)
    modules, weights = list(network.modules()), copy.deepcopy(network.state_dict())
    with pytest.raises(UserError, match="Peft, peft_type='LORA'"):
        rein.add_adapter(network, "peft", config={**METHODS["lora"], **changes})
    assert list(network.modules()) == modules and network.training
    assert all(p.requires_grad for p in network.parameters())
    assert all(torch.equal(value, weights[key]) for key, value in network.state_dict().items())
    assert not any("forward" in vars(module) for module in network.modules())
