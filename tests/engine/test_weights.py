"""From files to models and back: what the weight tools do."""

import pytest
import torch
from conftest import build, tiny_model_config
from mmengine.config import Config

from rein import checkpoint as ckpt
from rein.engine.weights import (
    _same,
    convert_file,
    load_for_testing,
    merge_files,
    split_file,
    write_output,
)
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


def test_split_is_the_inverse_of_merge(files):
    names = [files / name for name in ("merged.pth", "backbone.pth", "parts.pth")]
    merge_files(files / "original.pth", files / "adapter.pth", names[0], Config())
    split_file(*names)
    assert _same(ckpt.load_file(names[1]), ckpt.load_file(files / "converted.pth"))
    assert _same(ckpt.load_file(names[2]), ckpt.load_file(files / "adapter.pth"))
    with pytest.raises(UserError, match="expected a full segmentor, found: adapter and head"):
        split_file(files / "adapter.pth", files / "a.pth", files / "b.pth")
    assert not (files / "a.pth").exists()


def test_every_tool_reads_and_writes_safetensors(files):
    expected = loaded(merge_files(
        files / "original.pth", files / "adapter.pth", files / "merged.pth", Config()))
    for name in ("original", "adapter"):
        ckpt.save_file(ckpt.load_file(files / f"{name}.pth"), files / f"{name}.safetensors")
    converted = convert_file(
        files / "original.safetensors", files / "converted.safetensors", (64, 64))
    merged = merge_files(
        converted, files / "adapter.safetensors", files / "merged.safetensors", Config())
    assert torch.equal(loaded(merged), expected)
    assert torch.equal(loaded(files / "adapter.safetensors", converted), expected)
    split_file(merged, files / "b.safetensors", files / "p.safetensors")
    assert torch.equal(loaded(files / "p.safetensors", files / "b.safetensors"), expected)
    merge_files(  # the same again is success
        converted, files / "adapter.safetensors", merged, Config())


def test_an_adapter_is_kept_from_other_backbones(files, caplog):
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


def test_a_non_square_model_gets_a_non_square_grid(files):
    cfg = tiny_model_config()
    cfg.backbone.img_size = (64, 128)
    model = build(cfg)
    trained = dict(state_dict=trained_state_dict(model))
    load_for_testing(model, trained, "adapter", files / "original.pth")
    expected = ckpt.convert_dinov2(ckpt.load_file(files / "original.pth"), (64, 128), 16)
    assert torch.equal(model.state_dict()["backbone.pos_embed"], expected["pos_embed"])


def test_a_converted_backbone_of_another_size_is_not_resampled_again(files):
    convert_file(files / "original.pth", files / "large.pth", (128, 128))
    with pytest.raises(UserError, match="grid has 64 places, the config's 16"):
        loaded(files / "adapter.pth", files / "large.pth")


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
    ("adapter.pth", "adapter.pth", "adapter.pth: expected a backbone, found: adapter and head"),
    ("original.pth", "original.pth", "expected an adapter and head, found: backbone as it is"),
    ("merged.pth", "adapter.pth", "merged.pth: expected a backbone, found: full segmentor"),
    ("converted.pth", "merged.pth", "expected an adapter and head, found: full segmentor"),
    ("missing.pth", "adapter.pth", "missing.pth: no such file"),
    ("large.pth", "adapter.pth", "grid has 64 places.*--img-size"),
])
def test_merging_the_wrong_files_is_refused(files, backbone, checkpoint, message):
    merge_files(files / "original.pth", files / "adapter.pth", files / "merged.pth", Config())
    convert_file(files / "original.pth", files / "large.pth", (128, 128))
    with pytest.raises(UserError, match=message):
        merge_files(files / backbone, files / checkpoint, files / "out.pth",
                    Config(dict(model=tiny_model_config())))
    assert not (files / "out.pth").exists()


@pytest.mark.parametrize("checkpoint, backbone, message", [
    ("original.pth", None, "backbone alone, not a trained segmentor"),
    ("adapter.pth", "adapter.pth", "trained adapter and head, not a backbone"),
    ("adapter.pth", "merged.pth", "full segmentor, not a backbone; tools/split_weights.py"),
    ("merged.pth", "converted.pth", "holds the backbone already; leave --backbone out"),
])
def test_testing_the_wrong_files_is_refused(files, checkpoint, backbone, message):
    merge_files(files / "original.pth", files / "adapter.pth", files / "merged.pth", Config())
    with pytest.raises(UserError, match=message):
        loaded(files / checkpoint, backbone and files / backbone)


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
