"""From files to models and back: what the weight tools do."""

import pytest
import torch
from conftest import build, tiny_model_config
from mmengine.config import Config

from rein import checkpoint as ckpt
from rein.engine.weights import convert_file, load_for_testing, merge_files, write_output
from rein.errors import UserError
from rein.models.freezing import trained_state_dict


@pytest.fixture
def files(tmp_path, tiny_model):
    """A DINOv2 file as downloaded (patch 14) and what training of the tiny model saves.

    The file's position grid is 4x4 like the model's: the patch size alone tells them apart.
    """
    cfg = tiny_model_config().backbone
    cfg.update(type="DinoVisionTransformer", img_size=56, patch_size=14)
    cfg.pop("reins_config")
    backbone = {**build(cfg).state_dict(), "mask_token": torch.zeros(1, 32)}
    text = Config(dict(model=tiny_model_config())).pretty_text
    trained = dict(meta=dict(cfg=text, iter=7), state_dict=trained_state_dict(tiny_model))
    ckpt.save_file(backbone, tmp_path / "original.pth")
    ckpt.save_file(trained, tmp_path / "adapter.pth")
    convert_file(tmp_path / "original.pth", tmp_path / "converted.pth", (64, 64))
    return tmp_path


def outputs(model):
    model.eval()
    torch.manual_seed(1)
    with torch.no_grad():
        return model.encode_decode(torch.randn(1, 3, 64, 64), [dict(img_shape=(64, 64))])


def loaded(path, backbone=None):
    model = build(tiny_model_config())
    load_for_testing(model, ckpt.load_file(path), path, backbone)
    return outputs(model)


def test_all_three_ways_to_test_agree_bit_for_bit(files):
    merged = merge_files(
        files / "original.pth", files / "adapter.pth", files / "merged.pth", Config())
    expected = loaded(merged)
    assert torch.equal(loaded(files / "adapter.pth", files / "converted.pth"), expected)
    assert torch.equal(loaded(files / "adapter.pth", files / "original.pth"), expected)


def test_merged_file_carries_meta_and_splits_into_its_parts(files):
    merged = merge_files(
        files / "converted.pth", files / "adapter.pth", files / "merged.pth", Config())
    content = ckpt.load_file(merged)
    assert content["meta"]["iter"] == 7
    parts = ckpt.split(content["state_dict"])
    trained = ckpt.load_file(files / "adapter.pth")["state_dict"]
    assert parts.rein_and_head.keys() == trained.keys()
    converted = ckpt.load_file(files / "converted.pth")
    assert all(torch.equal(parts.backbone[name], converted[name]) for name in parts.backbone)


def test_parts_without_a_config_take_the_default(files):
    content = ckpt.load_file(files / "adapter.pth")
    ckpt.save_file(content["state_dict"], files / "flat.pth")
    default = Config(dict(model=tiny_model_config()))
    merged = merge_files(files / "original.pth", files / "flat.pth", files / "m.pth", default)
    assert "ReinMask2FormerHead" in ckpt.load_file(merged)["meta"]["cfg"]


def test_the_same_output_again_is_success_and_another_is_refused(files):
    path = files / "converted.pth"
    before = path.stat().st_mtime_ns
    convert_file(files / "original.pth", path, (64, 64))
    assert path.stat().st_mtime_ns == before
    with pytest.raises(UserError, match="exists and differs.*--force"):
        convert_file(files / "original.pth", path, (96, 96))
    convert_file(files / "original.pth", path, (96, 96), overwrite=True)
    assert ckpt.load_file(path)["pos_embed"].shape == (1, 37, 32)


def test_default_output_is_where_the_configs_look(files):
    assert convert_file(files / "original.pth").name == "dinov2_converted.pth"
    large = convert_file(files / "original.pth", img_size=(1024, 1024))
    assert large.name == "dinov2_converted_1024x1024.pth"


@pytest.mark.parametrize("backbone, checkpoint, message", [
    ("adapter.pth", "adapter.pth", "complete already|do not fit"),
    ("original.pth", "original.pth", "do not fit"),
    ("missing.pth", "adapter.pth", "missing.pth: no such file"),
])
def test_files_in_the_wrong_place_are_refused(files, backbone, checkpoint, message):
    with pytest.raises(UserError, match=message):
        merge_files(files / backbone, files / checkpoint, files / "out.pth",
                    Config(dict(model=tiny_model_config())))
    assert not (files / "out.pth").exists()


def test_an_adapter_without_a_backbone_is_refused(files):
    with pytest.raises(UserError, match="without the frozen backbone.*--backbone"):
        loaded(files / "adapter.pth")


def test_conversion_refuses_another_file_and_another_network(files):
    with pytest.raises(UserError, match="adapter.pth: not a DINOv2 backbone"):
        convert_file(files / "adapter.pth")
    with pytest.raises(UserError, match="width 32, expected ViT-L of width 1024"):
        convert_file(files / "original.pth", width=1024)


def test_an_unreadable_target_leaves_nothing_behind(files):
    (files / "folder").write_text("a file where a folder should be")
    with pytest.raises(UserError, match="cannot be written"):
        write_output({"a": torch.ones(1)}, files / "folder" / "out.pth")
