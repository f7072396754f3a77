"""An exported file predicts as PyTorch does, describes itself, and is complete or absent."""

import errno
import json
import shutil
import sys

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from commands import error_line, run_command, run_tool
from conftest import ROOT, tiny_model_config
from doc_blocks import blocks
from PIL import Image
from tiny_onnx import agree, street, write_segmentor

import rein
from rein.errors import UserError
from rein.evaluation.shift import learn_statistics
from rein.export import exporting
from rein.export.exporting import export_segmentor
from rein.export.onnx_predictor import load_onnx

EXPORT = ROOT / "tools/export.py"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with `model.pth` and `model.onnx`, exported by the command."""
    root = tmp_path_factory.mktemp("onnx")
    cfg = tiny_model_config()  # with fewer parts still: exporting takes seconds
    cfg.backbone.update(depth=1, out_indices=[0] * 4)
    cfg.backbone.reins_config.num_layers = cfg.decode_head.transformer_decoder.num_layers = 1
    features = np.random.default_rng(0).normal(size=(40, 32)).astype(np.float32)
    write_segmentor(
        root / "model.pth", cfg, calibration=dict(temperature=1.5),
        feature_statistics=learn_statistics(features).with_threshold(features).to_meta())
    done = run_tool(EXPORT, "model.pth", "model.onnx", cwd=root)
    assert done.stdout.splitlines()[-1].endswith(": model.onnx")
    assert sorted(path.name for path in root.iterdir()) == ["model.onnx", "model.pth"]
    return root


@pytest.fixture(scope="module")
def predictor(folder):
    return load_onnx(folder / "model.onnx", threads=1)


def test_windows_of_any_image_give_pytorchs_prediction(folder, predictor):
    images = [street(70, 100), street(150, 90, 1), street(300, 500, 2)]
    difference, equal = agree(folder / "model.pth", predictor, images)
    assert difference < 1e-4 and equal > 0.9999


def test_windows_run_in_batches_of_any_size(predictor):
    one, many = (predictor.predict(street(300, 500), batch_size=n, scores=True) for n in (1, 5))
    np.testing.assert_allclose(one.scores, many.scores, atol=1e-5)


def test_an_image_smaller_than_a_window_is_padded(predictor):
    found = predictor.predict([street(20, 300), street(5, 9)])
    assert [one.seg_map.shape for one in found] == [(20, 300), (5, 9)]


def test_the_file_says_what_a_deployer_needs(folder, predictor):
    model = onnx.load(folder / "model.onnx")
    onnx.checker.check_model(model)
    facts = {prop.key: prop.value for prop in model.metadata_props}
    assert json.loads(facts["rein.classes"])[:2] == ["road", "sidewalk"]
    assert json.loads(facts["rein.palette"])[0] == [128, 64, 128]
    assert json.loads(facts["rein.window"]) == [64, 64]
    assert json.loads(facts["rein.stride"]) == [43, 43]
    assert json.loads(facts["rein.resize"]) == dict(scale=[128, 96], keep_ratio=True)
    assert json.loads(facts["rein.mean"]) == pytest.approx([123.675, 116.28, 103.53])
    assert json.loads(facts["rein.temperature"]) == 1.5
    assert json.loads(facts["rein.version"]) == rein.__version__
    assert "RGB, 0 to 255" in facts["rein.image"]
    axes = [[dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
            for value in (*model.graph.input, *model.graph.output)]
    assert axes == [["batch", 3, 64, 64], ["batch", 19, 64, 64], ["batch", 32]]
    assert predictor.classes[0] == "road" and "window" in repr(predictor)


def test_the_documented_lines_predict_without_importing_torch(folder, tmp_path):
    shutil.copy(folder / "model.onnx", tmp_path / "segmentor.onnx")
    Image.fromarray(street()).save(tmp_path / "street.jpg")
    code, = blocks(ROOT / "docs/onnx.md", "python")
    done = run_command("-c", (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{code}\n"
        "print([name for name in ('torch', 'mmcv', 'mmengine', 'onnx') if name in sys.modules])"
    ), cwd=tmp_path)
    assert done.stdout.strip() == "[]"
    assert Image.open(tmp_path / "street_trainids.png").size == (100, 70)
    assert (tmp_path / "street_overlay.png").is_file()


def test_an_existing_file_is_kept_without_force(folder):
    before = (folder / "model.onnx").read_bytes()
    done = run_tool(EXPORT, "model.pth", "model.onnx", cwd=folder, check=False)
    assert "model.onnx: exists already" in error_line(done)
    assert (folder / "model.onnx").read_bytes() == before


@pytest.mark.parametrize("arguments, message", [
    (["missing.pth", "a.onnx"], "missing.pth"),
    (["model.pth", "a.pt"], "end the name of the output in .onnx"),
    (["model.pth", "a.onnx", "--batch", 0], "batch=0; expected a whole number from 1"),
])
def test_a_mistake_is_named_in_one_line(folder, arguments, message):
    assert message in error_line(run_tool(EXPORT, *arguments, cwd=folder, check=False))


def test_a_missing_extra_is_named(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match=r"model.onnx: needs ONNX Runtime: pip install 'rein-dgss"):
        load_onnx(folder / "model.onnx")
    line = error_line(run_tool(EXPORT, "model.pth", "a.onnx", cwd=folder, check=False))
    assert "needs the package onnxruntime: pip install 'rein-dgss[onnx]'" in line


def test_a_full_disk_leaves_nothing_behind(tmp_path, monkeypatch):
    def fail(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(exporting, "trace", lambda *args: ir.Model(ir.Graph(
        [], [], nodes=[]), ir_version=10))
    monkeypatch.setattr(exporting, "_write", fail)
    source = write_segmentor(tmp_path / "model.pth")
    with pytest.raises(UserError, match="No space left on device"):
        export_segmentor(source, tmp_path / "model.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["model.pth"]


def test_the_weights_of_a_large_file_go_with_it(tmp_path, monkeypatch):
    def write(graph, folder, name, precision):
        for file in (name, f"{name}.data")[:2 if precision == "fp32" else 1]:
            (folder / file).write_text(precision)
        return folder / name

    monkeypatch.setattr(exporting, "trace", lambda *args: ir.Model(ir.Graph(
        [], [], nodes=[]), ir_version=10))
    monkeypatch.setattr(exporting, "_write", write)
    monkeypatch.setattr(exporting, "_compare", lambda *args: 0.0)
    source, out = write_segmentor(tmp_path / "model.pth"), tmp_path / "model.onnx"
    export_segmentor(source, out)
    out.unlink()
    with pytest.raises(UserError, match="model.onnx.data: exists already"):
        export_segmentor(source, out, precision="fp16")
    export_segmentor(source, out, precision="fp16", overwrite=True)
    assert out.read_text() == "fp16"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.onnx", "model.pth"]


def test_a_graph_that_cannot_be_exported_is_refused_with_its_reason(tmp_path, monkeypatch):
    import torch

    def fail(*args, **kwargs):
        raise RuntimeError("no such operator")

    monkeypatch.setattr(torch.export, "export", fail)
    source = write_segmentor(tmp_path / "model.pth")
    with pytest.raises(UserError, match="model.pth: cannot be exported .* no such operator"):
        export_segmentor(source, tmp_path / "model.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["model.pth"]


def test_a_pipeline_that_the_predictor_does_not_know_is_refused(tmp_path):
    source = write_segmentor(tmp_path / "m.pth", resize=dict(scale=(64, 64), backend="pillow"))
    with pytest.raises(UserError, match="Resize has backend"):
        export_segmentor(source, tmp_path / "model.onnx")


def test_classes_without_names_are_refused(tmp_path):
    meta = dict(classes=["road"], palette=[[128, 64, 128]])
    source = write_segmentor(tmp_path / "m.pth", dataset_meta=meta)
    with pytest.raises(UserError, match="head has 19 classes, but the checkpoint names 1"):
        export_segmentor(source, tmp_path / "model.onnx")


def test_a_whole_image_of_no_known_size_needs_dynamic(tmp_path):
    cfg = tiny_model_config()
    source = write_segmentor(tmp_path / "model.pth", cfg, resize={})
    with pytest.raises(UserError, match="pass --dynamic"):
        export_segmentor(source, tmp_path / "model.onnx", whole=True)
