"""Weights fit exactly or are refused with the cause."""

import pytest
import torch
from conftest import build, dino, official

from rein import checkpoint as ckpt
from rein.engine.weights.loading import load_for_testing
from rein.errors import UserError
from rein.models.freezing import trained_state_dict


@pytest.mark.parametrize("content, message", [
    (lambda: official(), "patch size 14.*16.*--patch-size 16"),
    (lambda: official(img_size=80, patch_size=16), "grid has 25 places.*16.*--img-size"),
    (lambda: official(img_size=64, patch_size=16, embed_dim=48), "width 48.*width 32"),
    (lambda: {"decode_head.a": torch.zeros(1), "backbone.reins.b": torch.zeros(1)},
     "trained adapter and head, not a backbone"),
])
def test_wrong_backbones_are_refused_with_the_cause(content, message):
    model, before = dino(), dino().state_dict()
    with pytest.raises(UserError, match=message):
        model.load_pretrained(content(), "file.pth")
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


def test_trained_parts_alone_do_not_pass_for_a_whole_model(tiny_model):
    with pytest.raises(UserError, match="backbone is not in this file.*--backbone"):
        ckpt.load_strictly(tiny_model, trained_state_dict(tiny_model), "adapter.pth")


def test_undeclared_reasons_for_missing_keys_are_refused():
    with pytest.raises(ValueError, match="MAY_MISS"):
        ckpt.load_strictly(dino(), official(), "file", may_miss={"because": ["norm.weight"]})


LORA = dict(type="LoRA", rank=2)
REIN = dict(type="LoRAReins", token_length=3, lora_dim=2, link_token_to_query=False)


@pytest.mark.parametrize("found, wanted, message", [
    (LORA, REIN, "Their adapter differs from the config's. Use the config that they were "
     "trained with. 7 missing: backbone.reins.learn.*; 8 unexpected: backbone.reins.blocks.0.a"),
    (LORA, dict(LORA, rank=1), "differs from the config's.*A.weight is .2, 32., expected .1, 32."),
    (LORA, dict(LORA, type="DoRA"), "differs from the config's.*4 missing: .*magnitude"),
    (REIN, dict(REIN, lora_dim=1), "is LoRAReins of rank 2, .* config's is LoRAReins of rank 1"),
    (LORA, None, "They have an adapter, but the config has none. Use the config"),
    (None, LORA, "They have no adapter, but the config has one.*of a folded file is in the file")])
def test_another_adapter_is_the_cause_whatever_its_kind(tiny_config, found, wanted, message):
    tiny_config.decode_head.update(linked_queries=False, replace_query_feat=False)
    tiny_config.backbone.pop("reins_config")
    tiny_config.backbone.reins_config = found
    file = build(tiny_config).state_dict()
    tiny_config.backbone.pop("reins_config")
    tiny_config.backbone.reins_config = wanted
    model = build(tiny_config)
    with pytest.raises(UserError, match=message):
        ckpt.load_strictly(model, file, "file.pth")
    trained = ckpt.split(file).rein_and_head
    if found and wanted:  # without the backbone, too
        with pytest.raises(UserError, match=message):
            load_for_testing(model, dict(state_dict=trained), "file.pth")


@pytest.mark.parametrize("change, message", [
    (lambda cfg: cfg.backbone.reins_config.update(lora_dim=2), "adapter is LoRAReins of rank 4"),
    (lambda cfg: cfg.decode_head.update(
        num_classes=2, loss_cls=dict(cfg.decode_head.loss_cls, class_weight=[1.0, 1.0, 0.1])),
     "head has 19 classes, but the config's has 2"),
])
def test_another_adapter_or_head_is_named(tiny_model, tiny_config, change, message):
    change(tiny_config)
    with pytest.raises(UserError, match=message):
        ckpt.load_strictly(build(tiny_config), tiny_model.state_dict(), "file.pth")
