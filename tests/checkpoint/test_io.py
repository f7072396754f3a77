"""Reading a file runs no code; a failed write leaves the old file whole."""

import multiprocessing
import os
import resource
import signal
import sys
import time
from pickle import UnpicklingError

import pytest
import torch
from conftest import official

from rein import checkpoint as ckpt
from rein.cli import run_cli
from rein.errors import UserError


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


def test_the_stand_in_for_getattr_returns_statistics_only():
    with pytest.raises(UnpicklingError):
        ckpt.io._statistics_method(os, "system")


def test_a_text_file_is_refused(tmp_path):
    (tmp_path / "readme.pth").write_text("# Rein\n\nA text by mistake.\n")
    with pytest.raises(UserError, match="readme.pth: not a checkpoint, or damaged"):
        ckpt.load_file(tmp_path / "readme.pth")


def test_an_onnx_file_is_told_from_a_checkpoint(tmp_path):
    (tmp_path / "m.onnx").write_bytes(b"graph")
    with pytest.raises(UserError, match="m.onnx: an exported ONNX file.*`rein predict .*load_onnx"):
        ckpt.load_file(tmp_path / "m.onnx")


def test_an_error_that_is_only_a_key_is_left_out(tmp_path, monkeypatch):
    (tmp_path / "m.pth").write_bytes(b"")

    def fail(*args, **options):
        raise KeyError(101)

    monkeypatch.setattr("torch.load", fail)
    with pytest.raises(UserError, match="m.pth: not a checkpoint, or damaged. Download"):
        ckpt.load_file(tmp_path / "m.pth")


TYPES = {
    "zip.pth": torch.save,
    "legacy.pth": lambda content, path: torch.save(
        content, path, _use_new_zipfile_serialization=False),
    "plain.safetensors": ckpt.save_file,
}


@pytest.mark.parametrize("name", TYPES)
def test_a_truncated_file_is_reported_as_damaged(tmp_path, name):
    path = tmp_path / name
    TYPES[name](official(), path)
    assert ckpt.load_file(path).keys() == official().keys()
    content = path.read_bytes()
    for share in (0, 1e-4, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 0.9999):
        path.write_bytes(content[:int(share * len(content))])
        with pytest.raises(UserError, match=f"{name}: not a checkpoint, or damaged"):
            ckpt.load_file(path)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_saved_files_load_back_and_leave_no_temporary_files(tmp_path, suffix):
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


def test_safetensors_keep_meta_beside_the_weights(tmp_path):
    content = dict(meta=dict(cfg="model = dict()", iter=7), state_dict=official())
    loaded = ckpt.load_file(ckpt.save_file(content, tmp_path / "full.safetensors"))
    assert loaded["meta"] == content["meta"]
    assert ckpt.digest(loaded["state_dict"]) == ckpt.digest(content["state_dict"])
    with pytest.raises(UserError, match="optimizer cannot be stored in .safetensors"):
        ckpt.save_file({**content, "optimizer": {}}, tmp_path / "run.safetensors")


def save_forever(path, ready, limit, errors):
    """Save a file over and over; `limit` caps a file's size in bytes, as a full disk would.

    Runs in a fork of pytest; its messages go to the file `errors`.
    """
    sys.stderr = open(errors, "w", buffering=1)
    torch.set_num_threads(1)  # the parent's threads do not exist in a fork
    if limit:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    ready.set()
    run_cli(lambda: [ckpt.save_file({"a": torch.zeros(1 << 22)}, path) for _ in range(10 ** 6)])


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_full_disk_or_a_kill_leaves_the_old_file_whole(tmp_path, suffix):
    path = ckpt.save_file({"a": torch.ones(1 << 22)}, tmp_path / f"out/out{suffix}")
    fork, errors = multiprocessing.get_context("fork"), tmp_path / "errors"
    full = fork.Process(
        target=save_forever, args=(path, fork.Event(), 1 << 20, errors), daemon=True)
    full.start()
    full.join(120)
    said = errors.read_text()
    assert full.exitcode == 1 and "cannot be written" in said, said
    assert "Traceback" not in said
    assert os.listdir(path.parent) == [path.name]
    assert torch.equal(ckpt.load_file(path)["a"], torch.ones(1 << 22))
    ready = fork.Event()
    killed = fork.Process(target=save_forever, args=(path, ready, 0, errors), daemon=True)
    killed.start()
    assert ready.wait(120)
    time.sleep(0.3)  # in the middle of some write
    killed.kill()
    killed.join()
    assert killed.exitcode == -signal.SIGKILL
    assert ckpt.load_file(path)["a"].unique().numel() == 1


def test_an_unwritable_folder_is_named():
    with pytest.raises(UserError, match="/proc/out.pth: cannot be written"):
        ckpt.save_file({"a": torch.ones(1)}, "/proc/out.pth")


@pytest.mark.parametrize("name, hint", [
    ("dinov2_vitl14_pretrain.pth", "https://dl.fbaipublicfiles.com/dinov2/dinov2_vitl14/"),
    ("dinov2_converted.pth", "convert_dinov2.py checkpoints/dinov2_vitl14_pretrain.pth"),
    ("eva02_L_converted.pth", "convert_backbone.py SRC .*eva02_L_converted.pth --model CONFIG"),
    ("dinov2_vitb16_converted.pth", "convert_backbone.py SRC .* --model CONFIG"),
    ("dinov2_segmentor.pth", "generate_full_weights.py"),
])
def test_the_error_for_a_missing_file_says_how_to_get_it(tmp_path, name, hint):
    with pytest.raises(UserError, match=f"no such file.*{hint}"):
        ckpt.load_file(tmp_path / name)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("name", [
    "cfg", "dataset_meta", "frozen_backbone", "iter", "calibration", "feature_statistics"])
def test_meta_of_a_wrong_type_is_named(tmp_path, name, suffix):
    path = ckpt.save_file(dict(meta={name: [0.5]}, state_dict={}), tmp_path / f"a{suffix}")
    with pytest.raises(UserError, match=f"its meta has '{name}' of type list"):
        ckpt.load_file(path)
