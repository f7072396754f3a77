"""What docs/security.md promises: configs are code, everything else is data."""

import dataclasses
import json
import os
import pickle
import re
import sys
import zipfile

import numpy as np
import pytest
import torch
from conftest import ROOT
from mmengine.runner.checkpoint import load_checkpoint
from some_results import RECORD, some_images, table_of

from rein import checkpoint as ckpt
from rein.datasets.converters.cityscapes import convert_cityscapes
from rein.engine.configs.carried import config_from_text
from rein.engine.configs.reading import load_config
from rein.errors import UserError
from rein.evaluation.page import write_page
from rein.evaluation.result_files import load_run, save_results
from rein.evaluation.submission import check_submission


class Spy:
    """An object whose unpickling creates a file."""

    def __init__(self, canary):
        self.canary = canary

    def __reduce__(self):
        return os.system, (f"touch {self.canary}",)


@pytest.fixture
def canary(tmp_path):
    """Return a file that only code hidden in data would create."""
    path = tmp_path / "canary"
    yield path
    assert not path.exists()


def test_each_line_of_the_page_has_a_test():
    named = re.findall(r"`(test_\w+)` \|$", (ROOT / "docs/security.md").read_text(), re.MULTILINE)
    assert len(named) == 10 and all(callable(globals()[name]) for name in named)


def test_a_config_is_code(tmp_path):
    (tmp_path / "config.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n")
    load_config(tmp_path / "config.py")
    assert (tmp_path / "ran").exists()


def test_an_override_is_never_run(tmp_path, canary):
    (tmp_path / "config.py").write_text("model = dict(type='EncoderDecoder')\n")
    code = f"__import__('os').system('touch {canary}')"
    assert load_config(tmp_path / "config.py", [f"model.type={code}"]).model.type == code


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_checkpoint_is_refused(tmp_path, canary, zipped):
    path, content = tmp_path / "evil.pth", dict(state_dict=dict(a=Spy(canary)))
    if zipped:
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(content))
    with pytest.raises(UserError, match="refused, because it holds objects that|not a checkpoint"):
        ckpt.load_file(path)


def test_a_safetensors_file_holds_no_code(tmp_path, canary):
    path = ckpt.save_file(dict(a=torch.zeros(2)), tmp_path / "a.safetensors")
    path.write_bytes(pickle.dumps(Spy(canary)) + path.read_bytes())
    with pytest.raises(UserError, match="not a checkpoint, or damaged"):
        ckpt.load_file(path)


def test_code_in_a_parts_weights_is_refused(tmp_path, canary):
    """Without our loader, mmengine would fall back to running it."""
    torch.save(dict(weight=Spy(canary)), tmp_path / "part.pth")
    with pytest.raises(UserError, match="refused"):
        load_checkpoint(torch.nn.Linear(2, 2), str(tmp_path / "part.pth"))


@pytest.mark.parametrize("text", [
    "model = dict(type=__import__('os').system('touch {}'))",
    "model = dict(type='os.system', command='touch {}')",
    "custom_imports = dict(imports=['evil_module'])",
])
def test_a_carried_config_is_never_run(tmp_path, canary, monkeypatch, text):
    (tmp_path / "evil_module.py").write_text(f"open({str(canary)!r}, 'w').close()\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    try:
        assert "custom_imports" not in config_from_text(text.format(canary), "file.pth")
    except UserError as error:
        assert "calls a function" in str(error) or "os.system" in str(error)
    assert "evil_module" not in sys.modules


def test_json_is_only_parsed(tmp_path, canary):
    town = tmp_path / "gtFine/val/town"
    town.mkdir(parents=True)
    (town / "a_gtFine_polygons.json").write_text(json.dumps(dict(
        imgHeight=4, imgWidth=4, objects=[dict(
            label=f"__import__('os').system('touch {canary}')", polygon=[[0, 0]] * 3)])))
    assert len(convert_cityscapes(tmp_path, workers=1).failed) == 1


def test_code_in_results_is_refused(tmp_path, canary):
    images = some_images()
    save_results(tmp_path / "run", table_of(images), images, RECORD)
    arrays = dict(np.load(tmp_path / "run/results.npz"))
    arrays = {name: np.array([Spy(canary)], object) for name in arrays}
    np.savez(tmp_path / "run/results.npz", **arrays)
    with pytest.raises((UserError, ValueError)):
        load_run(tmp_path / "run")


def test_a_zip_writes_nothing(tmp_path, monkeypatch):
    folder = tmp_path / "inner"
    folder.mkdir()
    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        archive.writestr("../escaped.png", b"x")
        archive.writestr(str(tmp_path / "absolute.png"), b"x")
    monkeypatch.chdir(folder)
    assert check_submission("a.zip", "acdc")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["a.zip"]


def test_names_are_escaped_in_the_report(tmp_path):
    evil = "<script>alert(1)</script>"
    images = [dataclasses.replace(image, path=f"data/{evil}.png") for image in some_images()]
    record = dataclasses.replace(RECORD, checkpoint=evil, config=evil)
    write_page(tmp_path / "page.html", table_of(images), images, record, {}, [(0, 0, 0)] * 19)
    page = (tmp_path / "page.html").read_text()
    assert "alert(1)" in page and "<script>alert" not in page
