"""`tools/predict.py` checks its inputs first, tells what it wrote, and names broken files."""

import os

import numpy as np
import pytest
from commands import error_line, run_tool
from conftest import ROOT
from fake_segmentor import FakeSegmentor, write_image
from PIL import Image

from rein.engine.predicting import files
from rein.engine.predicting.models import describe_file, load_predictor
from rein.errors import UserError

TOOL = ROOT / "tools/predict.py"


@pytest.fixture
def loaded(monkeypatch, tmp_path):
    """Let the tool load a fake model; return the arguments it was loaded with."""
    calls = []
    monkeypatch.setattr("rein.engine.predicting.models.load_predictor",
                        lambda *args, **kwargs: calls.append((args, kwargs)) or FakeSegmentor())
    write_image(tmp_path / "in/a.jpg", red=255)
    write_image(tmp_path / "in/b.png")
    return calls


def test_a_folder_is_predicted_into_a_folder_named_like_the_model(tmp_path, loaded):
    done = run_tool(TOOL, "runs/night.pth", "in", "--precision", "bf16", cwd=tmp_path)
    assert loaded[0][0] == ("runs/night.pth",) and loaded[0][1]["precision"] == "bf16"
    assert done.stdout.startswith("runs/night.pth: FakeSegmentor(3 classes, fp32 on cpu)\n")
    assert done.stdout.splitlines()[-1] == (
        "2 predicted, 0 finished before, 0 failed; results written to predictions/night")
    assert (np.array(Image.open(tmp_path / "predictions/night/labels/a.jpg.png")) == 2).all()
    again = run_tool(TOOL, "runs/night.pth", "in", "--precision", "bf16", cwd=tmp_path)
    assert again.stdout.splitlines()[-1].startswith("0 predicted, 2 finished before, 0 failed")


@pytest.mark.parametrize("option, other", [
    ("--config", "other.py"), ("--backbone", "other.pth"), ("--precision", "fp32"),
    ("--int8", None)])
def test_predictions_of_other_settings_are_not_kept(tmp_path, loaded, option, other):
    for i, name in enumerate(("this.py", "this.pth", "other.py", "other.pth")):
        (tmp_path / name).write_text(f"value = {i}\n")
    arguments = ["m.pth", "in/a.jpg", "--config", "this.py", "--backbone", "this.pth"]
    run_tool(TOOL, *arguments, cwd=tmp_path)
    changed = [option] if other is None else [option, other]
    done = run_tool(TOOL, *arguments, *changed, cwd=tmp_path, check=False)
    assert f"holds predictions made with {option.removeprefix('--')}=" in error_line(done)
    (tmp_path / "this.py").rename(tmp_path / "moved.py")
    again = run_tool(TOOL, *arguments, "--config", "moved.py", cwd=tmp_path)
    assert "0 predicted, 1 finished before" in again.stdout


def test_the_meaning_of_hatched_pixels_is_printed(tmp_path, loaded):
    done = run_tool(TOOL, "m.pth", "in/a.jpg", "--unsure", 0.5, cwd=tmp_path)
    assert "hatched in overlays: pixels whose confidence is below 0.5\n" in done.stdout


def test_a_broken_image_is_named_and_exits_with_3(tmp_path, loaded):
    (tmp_path / "in/b.png").write_bytes(b"no image")
    done = run_tool(TOOL, "m.pth", "in", cwd=tmp_path, check=False)
    assert done.returncode == 3 and "Traceback" not in done.stderr
    *_, failed, last = done.stderr.splitlines()
    assert failed.startswith("failed: ") and "b.png: the image does not decode" in failed
    assert last == "error: 1 input could not be predicted"


@pytest.mark.parametrize("arguments, message", [
    (["nowhere"], "nowhere: no such file or folder"),
    (["in", "--unsure", 50], "--unsure 50.0: must be from 0 to 1"),
    (["in", "--batch-size", 0], "--batch-size 0: must be at least 1"),
    (["in", "--out", "in/a.jpg"], "in/a.jpg: is a file, but a folder is needed"),
])
def test_a_mistake_gets_one_line(tmp_path, loaded, arguments, message):
    done = run_tool(TOOL, "m.pth", *arguments, cwd=tmp_path, check=False)
    assert message in error_line(done)
    assert not (tmp_path / "predictions").exists()


def test_options_that_an_onnx_file_fixes_are_refused():
    with pytest.raises(UserError, match="m.onnx: --precision, --int8 cannot be set"):
        load_predictor("m.onnx", precision="bf16", int8=True, backbone=None)


def test_a_model_is_known_by_its_content(tmp_path):
    path = tmp_path / "m.onnx"
    path.write_bytes(b"1")
    first = describe_file(str(path))
    os.utime(path, (0, 0))
    moved = path.rename(tmp_path / "n.onnx")
    assert describe_file(str(moved)) == first
    (tmp_path / "n.onnx.data").write_bytes(b"weights")
    assert describe_file(str(moved)) != first
    moved.with_suffix(".pth").write_bytes(b"2")
    assert describe_file(str(tmp_path / "n.pth")) != first


def test_an_empty_model_is_named():
    with pytest.raises(UserError, match="^the name of a file or folder is empty"):
        load_predictor("")


def test_a_missing_device_is_named():
    with pytest.raises(UserError, match="device cuda:99: not available .* Choose another"):
        load_predictor("m.pth", device="cuda:99")


def test_the_tool_offers_all_kinds_of_output(tmp_path):
    help_ = run_tool(TOOL, "--help", cwd=tmp_path).stdout
    assert "{" + ",".join(files.KINDS) + "}" in help_
