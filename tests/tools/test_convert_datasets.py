"""The converter commands of the README: exit codes, messages, any working directory."""

import json
import runpy
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from doc_blocks import ROOT, commands
from PIL import Image

from rein.datasets.descriptions.mapillary import LABELS

TOOLS = ROOT / "tools/convert_datasets"
NAMES = ("gta", "synthia", "urbansyn", "cityscapes", "mapillary2cityscape", "mapillary_resize",
         "camvid")


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def run(monkeypatch):
    """Return a function that runs a tool in this process and returns its exit code."""
    def run_tool(name: str, *args: object) -> int:
        monkeypatch.setattr(sys, "argv", [name, *map(str, args)])
        monkeypatch.setattr(sys, "path", list(sys.path))
        with pytest.raises(SystemExit) as end:
            runpy.run_path(str(TOOLS / f"{name}.py"), run_name="__main__")
        return end.value.code
    return run_tool


@pytest.mark.parametrize("name", NAMES)
def test_help_answers_within_a_second(name, tmp_path):
    start = time.perf_counter()
    done = subprocess.run([sys.executable, str(TOOLS / f"{name}.py"), "--help"], cwd=tmp_path,
                          capture_output=True, text=True, check=True)
    assert time.perf_counter() - start < 1
    assert "--workers" in done.stdout and f"{name}.py" in done.stdout


@pytest.mark.parametrize("where", ["working directory", "repository"])
def test_published_commands_run_from_any_folder(tmp_path, monkeypatch, run, capsys, where):
    """They find the data here or in the repository, and write beside the data."""
    if where == "repository":
        monkeypatch.setattr("rein.paths.REPOSITORY", tmp_path)
        (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    labels = np.full((4, 6), 13, np.uint8)  # Road in Mapillary, fence in Cityscapes
    save(Path("data/gta/labels/00001.png"), labels)
    city = Path("data/cityscapes/gtFine/val/town")
    city.mkdir(parents=True)
    (city / "a_gtFine_polygons.json").write_text('{"imgHeight": 4, "imgWidth": 6, "objects": []}')
    mapillary = Path("data/mapillary")
    save(mapillary / "validation/labels/b.png", labels)
    save(mapillary / "validation/images/b.jpg", np.zeros((4, 6, 3), np.uint8))
    (mapillary / "config.json").write_text(
        json.dumps({"labels": [{"readable": name} for name, _ in LABELS]}))

    printed = [words[1:] for words in commands(ROOT / "README.md")
               if words[1].startswith("tools/convert_datasets/")]
    if where == "repository":
        monkeypatch.chdir("elsewhere")
    assert [run(Path(tool).stem, *arguments) for tool, *arguments in printed] == [0] * 4
    assert not (tmp_path / "elsewhere/data").exists()
    monkeypatch.chdir(tmp_path)
    half = mapillary / "half"

    assert (np.asarray(Image.open("data/gta/labels/00001_labelTrainIds.png")) == 4).all()
    assert (np.asarray(Image.open(city / "a_gtFine_labelTrainIds.png")) == 255).all()
    assert (np.asarray(Image.open(half / "val_label/b.png")) == np.zeros((2, 3))).all()
    assert Image.open(half / "val_img/b.jpg").size == (3, 2)
    shown = f"{tmp_path}/" if where == "repository" else ""
    assert capsys.readouterr().out.splitlines()[-1] == (
        f"1 converted, 0 skipped, 0 failed: {shown}data/mapillary/half/val_img and "
        f"{shown}data/mapillary/half/val_label")


def test_broken_file_gives_exit_code_1(tmp_path, run, capsys):
    save(tmp_path / "labels/1.png", np.zeros((4, 4), np.uint8))
    (tmp_path / "labels/2.png").write_bytes(b"broken")
    assert run("gta", tmp_path, "--workers", 1) == 1
    assert "1 converted, 0 skipped, 1 failed" in capsys.readouterr().out


def test_missing_dataset_is_one_line_without_traceback(tmp_path, run, capsys):
    assert run("cityscapes", tmp_path / "nowhere") == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: {tmp_path}/nowhere: ") and error.count("\n") == 1
