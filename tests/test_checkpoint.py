"""Weights fit exactly or are refused with the cause, and no file runs code."""

import os

import pytest
import torch
from conftest import build

from rein import checkpoint as ckpt
from rein.errors import UserError
from rein.models import DinoVisionTransformer
from rein.models.freezing import trained_state_dict


def dino(img_size=64, patch_size=16, embed_dim=32, **kwargs):
    torch.manual_seed(0)
    return DinoVisionTransformer(
        img_size=img_size, patch_size=patch_size, embed_dim=embed_dim, depth=4, num_heads=2,
        **kwargs)


def official(**kwargs):
    """A file's content as DINOv2 is downloaded: patch 14, its own grid, mask_token."""
    arguments = dict(img_size=70, patch_size=14) | kwargs
    state = dino(**arguments).state_dict()
    return {**state, "mask_token": torch.zeros(1, state["cls_token"].shape[-1])}


def test_conversion_resamples_bicubic_without_antialiasing():
    source = official()
    converted = ckpt.convert_dinov2(source, (64, 96), 16)
    kernel = torch.nn.functional.interpolate(
        source["patch_embed.proj.weight"], size=(16, 16), mode="bicubic", align_corners=False)
    assert torch.equal(converted["patch_embed.proj.weight"], kernel)
    grid = source["pos_embed"][:, 1:].reshape(1, 5, 5, 32).permute(0, 3, 1, 2)
    grid = torch.nn.functional.interpolate(
        grid, size=(4, 6), mode="bicubic", align_corners=False)
    assert torch.equal(converted["pos_embed"][:, 1:], grid.flatten(2).transpose(1, 2))
    assert torch.equal(converted["pos_embed"][:, :1], source["pos_embed"][:, :1])
    unchanged = source.keys() - {"patch_embed.proj.weight", "pos_embed"}
    assert all(converted[name] is source[name] for name in unchanged)
    dino(img_size=(64, 96)).load_pretrained(converted, "converted")


def test_conversion_to_the_same_size_changes_nothing():
    source = official()
    for name, value in ckpt.convert_dinov2(source, (70, 70), 14).items():
        assert torch.equal(value, source[name])


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


def test_merge_and_split_are_inverse_and_load_strictly(tiny_model, tiny_config):
    full = tiny_model.state_dict()
    parts = ckpt.split(full)
    assert parts.rein_and_head.keys() == trained_state_dict(tiny_model).keys()
    assert ckpt.merge(*parts).keys() == full.keys()
    twin = build(tiny_config)
    ckpt.load_strictly(twin, ckpt.merge(*parts), "merged")
    assert all(torch.equal(value, full[name]) for name, value in twin.state_dict().items())
    with pytest.raises(UserError, match="complete already"):
        ckpt.merge(parts.backbone, full)


def test_trained_parts_alone_do_not_pass_for_a_whole_model(tiny_model):
    with pytest.raises(UserError, match="backbone is not in this file.*--backbone"):
        ckpt.load_strictly(tiny_model, trained_state_dict(tiny_model), "adapter.pth")


class Malicious:
    def __reduce__(self):
        return os.system, ("touch executed",)


@pytest.mark.parametrize("wrap", [lambda bad: bad, lambda bad: {"state_dict": {}, "meta": bad}])
def test_a_malicious_pickle_does_not_run(tmp_path, monkeypatch, wrap):
    monkeypatch.chdir(tmp_path)
    torch.save(wrap(Malicious()), "bad.pth")
    with pytest.raises(UserError, match="could run code"):
        ckpt.load_file("bad.pth")
    assert not (tmp_path / "executed").exists()


def test_the_stand_in_for_getattr_gives_nothing_but_statistics():
    from pickle import UnpicklingError

    with pytest.raises(UnpicklingError):
        ckpt._statistics_method(os, "system")


@pytest.mark.parametrize("share", [0, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99])
def test_a_truncated_file_is_named_as_damaged(tmp_path, share):
    path = tmp_path / "weights.pth"
    torch.save(official(), path)
    content = path.read_bytes()
    path.write_bytes(content[:int(share * len(content))])
    with pytest.raises(UserError, match="weights.pth: not a checkpoint, or damaged"):
        ckpt.load_file(path)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_saved_files_load_back_and_leave_nothing_beside_them(tmp_path, suffix):
    weights = official()
    path = ckpt.save_file(weights, tmp_path / f"out{suffix}")
    loaded = ckpt.load_file(path)
    assert all(torch.equal(loaded[name], value) for name, value in weights.items())
    assert os.listdir(tmp_path) == [path.name]


def test_a_failed_save_leaves_the_old_file(tmp_path):
    path = ckpt.save_file({"a": torch.ones(1)}, tmp_path / "out.pth")
    with pytest.raises(Exception):  # noqa: B017  whatever torch raises
        ckpt.save_file({"a": (x for x in ())}, path)
    assert torch.equal(ckpt.load_file(path)["a"], torch.ones(1))
    assert os.listdir(tmp_path) == ["out.pth"]


@pytest.mark.parametrize("name, hint", [
    ("dinov2_vitl14_pretrain.pth", "https://dl.fbaipublicfiles.com/dinov2/dinov2_vitl14/"),
    ("dinov2_converted.pth", "convert_dinov2.py"),
    ("dinov2_segmentor.pth", "generate_full_weights.py"),
])
def test_a_missing_file_says_how_to_get_it(tmp_path, name, hint):
    with pytest.raises(UserError, match=f"no such file.*{hint}"):
        ckpt.load_file(tmp_path / name)
