"""The demo notebook runs from top to bottom, or names the missing file."""

import importlib.util
import os
import re
from pathlib import Path
from types import SimpleNamespace

import nbformat
import numpy as np
import pytest
import torch
from conftest import ROOT, tiny_model_config
from mmengine.config import Config
from nbclient import NotebookClient
from PIL import Image

import rein
from rein import checkpoint as ckpt
from rein.errors import UserError

REAL, TOY = "checkpoints/dinov2_segmentor.pth", "work_dirs/quickstart/toy_segmentor.pth"


@pytest.fixture
def notebook():
    return nbformat.read(ROOT / "demo.ipynb", as_version=4)


def text_of(notebook, name):
    """Return a cell's printed text."""
    outputs = next(cell.outputs for cell in notebook.cells if cell.id == name)
    return "".join(output.text for output in outputs if output.output_type == "stream")


def run_cell(notebook, name, folder):
    """Run one cell, which looks for paths in `folder`; return its variables."""
    library = SimpleNamespace(
        load_segmentor=lambda source: SimpleNamespace(precision="fp32", source=source),
        read_image=lambda path: np.zeros((4, 6, 3), np.uint8))
    names = dict(os=os, Path=Path, UserError=UserError, root=folder, rein=library)
    exec(next(cell.source for cell in notebook.cells if cell.id == name), names)
    return names


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def test_notebook_runs_from_a_subfolder_and_shows_figures(
        notebook, tmp_path, tiny_model, monkeypatch):
    torch.nn.init.normal_(tiny_model.decode_head.cls_embed.weight)  # predicts several classes
    meta = dict(cfg=Config(dict(model=tiny_model_config())).pretty_text)
    ckpt.save_file(dict(meta=meta, state_dict=tiny_model.state_dict()), tmp_path / "tiny.pth")
    noise = np.random.default_rng(0).integers(0, 256, (60, 90, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "street.png")
    monkeypatch.setenv("REIN_DEMO_CHECKPOINT", str(tmp_path / "tiny.pth"))
    monkeypatch.setenv("REIN_DEMO_IMAGE", str(tmp_path / "street.png"))
    monkeypatch.setenv("REIN_DEMO_FOLDER", str(tmp_path))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.delenv("PYTHONPATH", raising=False)
    NotebookClient(
        notebook, timeout=240, resources={"metadata": {"path": str(ROOT / "configs")}}).execute()
    figures = [
        cell.id for cell in notebook.cells if cell.cell_type == "code"
        for output in cell.outputs if "image/png" in output.get("data", {})]
    has_library = importlib.util.find_spec("imagecorruptions")
    assert figures == ["prediction", "confidence", "features", *["corruptions"] * bool(has_library)]
    assert has_library or "Skipped: " in text_of(notebook, "corruptions")
    assert text_of(notebook, "model").startswith(
        f"Model: {tmp_path}/tiny.pth, the one you named; ")
    assert "90 x 60 pixels" in text_of(notebook, "images")
    assert "street.png: mean confidence 0." in text_of(notebook, "confidence")
    lines = text_of(notebook, "shares").splitlines()
    assert len(lines) > 1
    assert sum(float(line.split()[-2]) for line in lines) == pytest.approx(100, abs=0.1)
    assert Image.open(tmp_path / "segmented" / "street.png").width == 90


def test_notebook_uses_the_public_interface_alone(notebook):
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    assert set(re.findall(r"from (rein\S*) import", code)) == {
        "rein.errors", "rein.datasets.corruptions"}
    assert set(re.findall(r"\brein\.(\w+)\(", code)) <= set(rein.__all__)
    assert "import mm" not in code


def test_notebook_is_stored_without_outputs(notebook):
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in cells)


@pytest.mark.parametrize("name, hint", [
    ("model", "there is no model yet. Run `make quickstart`"),
    ("images", "there is no image yet. Name one above"),
])
def test_a_missing_file_is_reported_with_the_fix(
        notebook, tmp_path, monkeypatch, name, hint):
    monkeypatch.delenv(f"REIN_DEMO_{'CHECKPOINT' if name == 'model' else 'IMAGE'}", raising=False)
    with pytest.raises(UserError, match=hint):
        run_cell(notebook, name, tmp_path)


def test_the_real_model_precedes_the_quickstarts(notebook, tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("REIN_DEMO_CHECKPOINT", raising=False)
    touch(tmp_path / TOY)
    assert run_cell(notebook, "model", tmp_path)["model"].source == tmp_path / TOY
    assert f"{TOY}, the quickstart's small model" in capsys.readouterr().out
    touch(tmp_path / REAL)
    assert run_cell(notebook, "model", tmp_path)["model"].source == tmp_path / REAL
    assert f"{REAL}, the real model" in capsys.readouterr().out


def test_one_toy_image_of_each_domain_is_the_default(notebook, tmp_path, monkeypatch):
    monkeypatch.delenv("REIN_DEMO_IMAGE", raising=False)
    toy = tmp_path / "data/toy"
    first = [toy / "cityscapes/leftImg8bit/val/town/b.png",
             toy / "acdc/rgb_anon/night/val/GP/d.png"]
    for path in (*first, toy / "cityscapes/leftImg8bit/val/town/c.png"):
        touch(path)
    assert run_cell(notebook, "images", tmp_path)["paths"] == first
