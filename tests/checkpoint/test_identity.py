"""Files are recognised by their content, and fingerprints distinguish backbones."""

import re

import pytest
import torch
from conftest import build, dino, official

from rein import checkpoint as ckpt
from rein.checkpoint.description import describe
from rein.engine.weights.loading import fit_backbone
from rein.models import VisionFoundationModel
from rein.models.freezing import trained_state_dict


def contents(model):
    trained = dict(meta=dict(cfg="model = dict()", iter=7), state_dict=trained_state_dict(model))
    run = dict(trained, optimizer={}, param_schedulers=[], message_hub={})
    head = {k: v for k, v in model.state_dict().items() if k.startswith("decode_head.")}
    return [
        (official(), ckpt.Kind.ORIGINAL),
        ({"teacher": official()}, ckpt.Kind.ORIGINAL),
        (dino().state_dict(), ckpt.Kind.CONVERTED),
        (trained, ckpt.Kind.TRAINED),
        (run, ckpt.Kind.TRAINED),
        (head, ckpt.Kind.HEAD),
        (dict(state_dict=model.state_dict()), ckpt.Kind.SEGMENTOR),
        (dict(optimizer=dict(state={}, param_groups=[])), ckpt.Kind.STATE),
        ({"layer1.0.conv1.weight": torch.zeros(1)}, ckpt.Kind.OTHER),
        ({}, ckpt.Kind.OTHER),
    ]


def test_every_kind_of_file_is_recognised_and_described(tiny_model):
    for content, kind in contents(tiny_model):
        assert ckpt.identify(content).kind is kind
        rows = describe(content, "FILE")
        assert rows["kind"] == kind.value and rows["next"]
    identity = ckpt.identify(contents(tiny_model)[4][0])
    assert identity.trains_on and identity.config and identity.iteration == 7
    assert identity.classes == 19
    assert str(identity.adapter) == "LoRAReins of rank 4, 8 tokens for each of 2 blocks, width 32"


def test_a_released_network_at_patch_16_is_an_original():
    """Only DINOv2 is always released at patch 14; MAE and CLIP-B are released at patch 16."""
    backbone = VisionFoundationModel("vit_tiny_patch16_224").state_dict()
    assert ckpt.identify(backbone).kind is ckpt.Kind.ORIGINAL
    wanted = VisionFoundationModel("vit_tiny_patch16_224", img_size=64)
    wanted.load_pretrained(fit_backbone(backbone, wanted), "FILE")
    assert torch.equal(
        wanted.model.pos_embed, ckpt.resample_pos_embed(backbone["pos_embed"], (4, 4)))
    ckpt.convert_dinov2(backbone, (64, 64), 16)


def test_a_segmentor_with_rotary_positions_is_recognised_and_split(tiny_config):
    tiny_config.backbone = dict(
        type="VisionFoundationModel", model="vit_small_patch16_dinov3", depth=2, img_size=64,
        reins_config=dict(tiny_config.backbone.reins_config, embed_dims=384))
    tiny_config.decode_head.in_channels = [384] * 4
    model = build(tiny_config)
    merged = ckpt.identify(model.state_dict())
    assert merged.kind is ckpt.Kind.SEGMENTOR and merged.backbone.places is None
    assert "rotary positions" in str(merged.backbone)
    assert ckpt.identify(trained_state_dict(model)).kind is ckpt.Kind.TRAINED
    parts = ckpt.split(model.state_dict())
    assert ckpt.identify(parts.backbone).kind is ckpt.Kind.ORIGINAL
    assert ckpt.identify(parts.rein_and_head).kind is ckpt.Kind.TRAINED


def test_digest_depends_on_names_shapes_and_values_only():
    weights = {"a": torch.arange(6.0).view(2, 3), "b": torch.tensor(1.0)}
    same = {"b": weights["b"].half(), "a": weights["a"].half()}
    assert ckpt.digest(weights) == ckpt.digest(same)
    for other in ({**weights, "a": weights["a"].view(3, 2)}, {**weights, "a": -weights["a"]},
                  {"A": weights["a"], "b": weights["b"]}):
        assert ckpt.digest(weights) != ckpt.digest(other)


@pytest.mark.parametrize("change, message", [
    (lambda w: w["blocks.1.mlp.fc1.weight"].mul_(1.001), "trained with weights .* these are"),
    (lambda w: w["pos_embed"][:, 1:].add_(0.01), "pos_embed was resampled differently"),
    (lambda w: w.update(pos_embed=torch.cat((w["pos_embed"], torch.zeros(1, 33, 32)), 1)),
     "pos_embed was .1, 16, 32. in training and is .1, 49, 32."),
])
def test_fingerprint_differs_for_another_backbone(change, message):
    before = ckpt.fingerprint(dino().state_dict())
    weights = {name: value.clone() for name, value in dino().state_dict().items()}
    weights["mask_token"] = torch.ones(1, 32)
    assert ckpt.fingerprint_difference(before, ckpt.fingerprint(weights)) is None
    weights["pos_embed"][:, 1:] += 1e-7  # another machine's rounding
    assert ckpt.fingerprint_difference(before, ckpt.fingerprint(weights)) is None
    change(weights)
    assert re.search(message, ckpt.fingerprint_difference(before, ckpt.fingerprint(weights)))
