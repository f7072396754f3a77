"""Weights that fit are loaded into models; others are rejected by name."""

import pytest
import torch
from conftest import build, tiny_model_config
from mmengine.config import Config
from own_adapters import Vera
from tiny_weights import loaded, outputs

from rein import checkpoint as ckpt
from rein.engine.weights.files import convert_file, merge_files
from rein.engine.weights.loading import load_for_testing
from rein.errors import UserError
from rein.models.freezing import count_parameters, trained_state_dict


def test_a_non_square_model_gets_a_non_square_grid(files):
    cfg = tiny_model_config()
    cfg.backbone.img_size = (64, 128)
    model = build(cfg)
    trained = dict(state_dict=trained_state_dict(model))
    load_for_testing(model, trained, "adapter", files / "original.pth")
    expected = ckpt.convert_dinov2(ckpt.load_file(files / "original.pth"), (64, 128), 16)
    assert torch.equal(model.state_dict()["backbone.pos_embed"], expected["pos_embed"])


def test_an_adapter_is_not_loaded_onto_other_backbones(files, caplog):
    content = ckpt.load_file(files / "adapter.pth")
    right = ckpt.load_file(files / "converted.pth")
    content["meta"][ckpt.FINGERPRINT] = ckpt.fingerprint(right)
    ckpt.save_file(content, files / "marked.pth")
    wrong = {k: v + 1 if k == "blocks.0.attn.qkv.bias" else v for k, v in right.items()}
    ckpt.save_file(wrong, files / "wrong.pth")
    for backbone in ("converted.pth", "original.pth"):
        loaded(files / "marked.pth", files / backbone)
    with pytest.raises(UserError, match="another frozen backbone.*--allow-other-backbone"):
        loaded(files / "marked.pth", files / "wrong.pth")
    parts = files / "wrong.pth", files / "marked.pth", files / "out.pth", Config()
    with pytest.raises(UserError, match="another frozen backbone.*--allow-other-backbone"):
        merge_files(*parts)
    assert not (files / "out.pth").exists()
    merge_files(*parts, allow_other_backbone=True)
    model = build(tiny_model_config())
    load_for_testing(model, content, "marked.pth", files / "wrong.pth", allow_other_backbone=True)


def test_a_converted_backbone_of_another_size_is_not_resampled_again(files):
    convert_file(files / "original.pth", files / "large.pth", (128, 128))
    with pytest.raises(UserError, match="grid has 64 places, but the config's has 16"):
        loaded(files / "adapter.pth", files / "large.pth")


@pytest.mark.parametrize("checkpoint, backbone, message", [
    ("original.pth", None, "backbone alone, not a trained segmentor"),
    ("adapter.pth", "adapter.pth", "trained adapter and head, not a backbone"),
    ("adapter.pth", "merged.pth", "full segmentor, not a backbone; split it with tools/split"),
    ("merged.pth", "converted.pth", "already contains the backbone. Pass no other"),
])
def test_testing_the_wrong_files_is_rejected(files, checkpoint, backbone, message):
    merge_files(files / "original.pth", files / "adapter.pth", files / "merged.pth", Config())
    with pytest.raises(UserError, match=message):
        loaded(files / checkpoint, backbone and files / backbone)


def test_an_adapter_without_a_backbone_is_rejected(files):
    with pytest.raises(UserError, match="without the frozen backbone.*--backbone"):
        loaded(files / "adapter.pth")


def test_frozen_parameters_and_buffers_of_an_adapter_are_saved_and_required(
        tmp_path, registered):
    registered(Vera)
    cfg = tiny_model_config()
    cfg.backbone.reins_config = dict(type="Vera")
    cfg.decode_head.update(linked_queries=False, replace_query_feat=False)
    model = build(cfg)
    content = dict(meta=dict(cfg=Config(dict(model=cfg)).pretty_text),
                   state_dict=trained_state_dict(model))
    frozen = ckpt.split(model.state_dict()).backbone
    assert content["state_dict"].keys() == ckpt.split(model.state_dict()).rein_and_head.keys()
    assert count_parameters(model.backbone).trainable == model.backbone.reins.scales.numel()
    for value, path in ((frozen, "backbone.pth"), (content, "trained.pth")):
        ckpt.save_file(value, tmp_path / path)
    one, other = build(cfg), build(cfg)
    load_for_testing(one, content, "trained.pth", tmp_path / "backbone.pth")
    merged = merge_files(tmp_path / "backbone.pth", tmp_path / "trained.pth",
                         tmp_path / "merged.pth", Config())
    load_for_testing(other, ckpt.load_file(merged), "merged.pth")
    assert torch.equal(outputs(one), outputs(model))
    assert torch.equal(outputs(other), outputs(model))
    for name in ("mix", "shift.running_mean"):
        rest = {key: value for key, value in content["state_dict"].items() if name not in key}
        with pytest.raises(UserError, match=f"1 missing: backbone.reins.{name}"):
            load_for_testing(build(cfg), dict(state_dict=rest), "x", tmp_path / "backbone.pth")
