"""The functions behind the weight tools: convert, merge and split files."""

import pytest
import torch
from conftest import tiny_model_config
from mmengine.config import Config
from tiny_weights import loaded

from rein import checkpoint as ckpt
from rein.engine.weights.files import (
    _same,
    convert_file,
    merge_files,
    split_file,
    write_output,
)
from rein.errors import UserError


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
    merge_files(  # writing the same output again succeeds
        converted, files / "adapter.safetensors", merged, Config())


def test_parts_without_a_config_use_the_default(files):
    content = ckpt.load_file(files / "adapter.pth")
    ckpt.save_file(content["state_dict"], files / "flat.pth")
    default = Config(dict(model=tiny_model_config()))
    merged = merge_files(files / "original.pth", files / "flat.pth", files / "m.pth", default)
    assert "ReinMask2FormerHead" in ckpt.load_file(merged)["meta"]["cfg"]


def test_rewriting_the_same_output_succeeds_and_replacing_another_is_rejected(files):
    path = files / "converted.pth"
    before = path.stat().st_mtime_ns
    convert_file(files / "original.pth", path, (64, 64))
    assert path.stat().st_mtime_ns == before
    with pytest.raises(UserError, match="exists and differs.*--force"):
        convert_file(files / "original.pth", path, (96, 96))
    convert_file(files / "original.pth", path, (96, 96), overwrite=True)
    assert ckpt.load_file(path)["pos_embed"].shape == (1, 37, 32)


def test_default_output_is_where_the_configs_expect_it(files):
    assert convert_file(files / "original.pth").name == "dinov2_converted.pth"
    large = convert_file(files / "original.pth", img_size=(1024, 1024))
    assert large.name == "dinov2_converted_1024x1024.pth"


@pytest.mark.parametrize("backbone, checkpoint, message", [
    ("adapter.pth", "adapter.pth", "adapter.pth: expected a backbone, found: adapter and head"),
    ("original.pth", "original.pth", "expected an adapter and head, found: backbone as downloaded"),
    ("merged.pth", "adapter.pth", "merged.pth: expected a backbone, found: full segmentor"),
    ("converted.pth", "merged.pth", "expected an adapter and head, found: full segmentor"),
    ("missing.pth", "adapter.pth", "missing.pth: no such file"),
    ("large.pth", "adapter.pth", "grid has 64 places.*--img-size"),
])
def test_merging_the_wrong_files_is_rejected(files, backbone, checkpoint, message):
    merge_files(files / "original.pth", files / "adapter.pth", files / "merged.pth", Config())
    convert_file(files / "original.pth", files / "large.pth", (128, 128))
    with pytest.raises(UserError, match=message):
        merge_files(files / backbone, files / checkpoint, files / "out.pth",
                    Config(dict(model=tiny_model_config())))
    assert not (files / "out.pth").exists()


def test_conversion_rejects_other_files_and_other_networks(files):
    with pytest.raises(UserError, match="adapter.pth: not a DINOv2 backbone"):
        convert_file(files / "adapter.pth")
    with pytest.raises(UserError, match="width 32, expected ViT-L of width 1024"):
        convert_file(files / "original.pth", width=1024)


def test_an_unwritable_target_leaves_nothing_behind(files):
    (files / "folder").write_text("a file where a folder should be")
    with pytest.raises(UserError, match="cannot be written"):
        write_output({"a": torch.ones(1)}, files / "folder" / "out.pth")


def test_a_given_config_takes_precedence_over_one_that_cannot_be_read_here(files):
    content = ckpt.load_file(files / "adapter.pth")
    given = Config(dict(model=tiny_model_config()))
    content["meta"]["cfg"] = "custom_hooks = [dict(type='HookOfTheAuthors')]\n"
    ckpt.save_file(content, files / "foreign.pth")
    parts = files / "converted.pth", files / "foreign.pth", files / "merged.pth"
    with pytest.raises(UserError, match="names HookOfTheAuthors.* Give a config file"):
        merge_files(*parts, Config())
    merged = merge_files(*parts, Config(), config=given)
    assert ckpt.load_file(merged)["meta"]["cfg"] == given.pretty_text
    assert torch.isfinite(loaded(merged)).all()
