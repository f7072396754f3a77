"""Paths are resolved in the working directory first, then in the repository."""

from pathlib import Path

from conftest import ROOT
from mmengine.config import Config

from rein.engine.paths import find_path, output_path, resolve_paths


def test_a_path_is_found_here_then_in_the_repository(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_path("configs/toy") == str(ROOT / "configs/toy")
    (tmp_path / "configs/toy").mkdir(parents=True)
    assert find_path("configs/toy") == "configs/toy"
    assert find_path("nowhere/x.pth") == "nowhere/x.pth"


def test_output_goes_where_all_its_inputs_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    here, there = "data/gta", str(ROOT / "data/gta")
    assert output_path("data/out", there, there) == ROOT / "data/out"
    assert output_path("data/out", here, there) == Path("data/out")
    assert output_path(tmp_path / "out", there) == tmp_path / "out"


def test_a_configs_paths_are_resolved_in_a_copy(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cfg = Config(dict(load_from="README.md", data=[dict(data_root="configs", name="configs")],
                      model=dict(checkpoint="https://host/README.md")))
    found = resolve_paths(cfg)
    assert found.load_from == str(ROOT / "README.md")
    assert found.data[0] == dict(data_root=str(ROOT / "configs"), name="configs")
    assert found.model.checkpoint == "https://host/README.md"
    assert cfg.load_from == "README.md"
