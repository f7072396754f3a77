"""Paths are resolved in the working directory first, then in the repository."""

from pathlib import Path

import pytest
from conftest import ROOT
from mmengine.config import Config

from rein.errors import UserError
from rein.paths import find_config, find_path, move_data, output_path, resolve_paths


def test_a_path_is_found_here_then_in_the_repository(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_path("configs/toy") == str(ROOT / "configs/toy")
    (tmp_path / "configs/toy").mkdir(parents=True)
    assert find_path("configs/toy") == "configs/toy"
    assert find_path("nowhere/x.pth") == "nowhere/x.pth"


def test_an_empty_path_is_refused_as_such(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="^the name of a file or folder is empty"):
        find_path("")
    cfg = resolve_paths(Config(dict(dataset=dict(data_root=""))))
    assert cfg.dataset.data_root == ""


def test_output_goes_where_all_its_inputs_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    here, there = "data/gta", str(ROOT / "data/gta")
    assert output_path("data/out", there, there) == ROOT / "data/out"
    assert output_path("data/out", here, there) == Path("data/out")
    assert output_path(tmp_path / "out", there) == tmp_path / "out"


def test_a_configs_paths_are_resolved_in_a_copy(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cfg = Config(dict(load_from="README.md", data=[dict(data_root="configs", name="configs")],
                      model=dict(checkpoint="https://host/README.md", pretrained="setup.py")))
    found = resolve_paths(cfg)
    assert found.load_from == str(ROOT / "README.md")
    assert found.data[0] == dict(data_root=str(ROOT / "configs"), name="configs")
    assert found.model.checkpoint == "https://host/README.md"
    assert found.model.pretrained == str(ROOT / "setup.py")
    assert cfg.load_from == "README.md"


@pytest.mark.parametrize("name, path", [
    ("rein_dinov3-L_mask2former_512x512_bs1x4", "dinov3/rein_dinov3-L_mask2former_512x512_bs1x4"),
    ("peft/soma_dinov2_mask2former_512x512_bs1x4", "peft/soma_dinov2_mask2former_512x512_bs1x4"),
    # the published main config precedes its variant on ACDC, in dinov2_citys2acdc
    ("rein_dinov2_mask2former_512x512_bs1x4", "dinov2/rein_dinov2_mask2former_512x512_bs1x4"),
    ("rein_dinov2_mask2former_512x512_bs1x4.py", "dinov2/rein_dinov2_mask2former_512x512_bs1x4"),
])
def test_a_config_is_found_by_its_name(tmp_path, monkeypatch, name, path):
    monkeypatch.chdir(tmp_path)
    assert find_config(name) == str(ROOT / f"configs/{path}.py")


def test_a_config_here_precedes_one_of_the_repository(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").touch()
    assert find_config("mine.py") == "mine.py"


@pytest.mark.parametrize("name, message", [
    ("soma_dinov2_mask2former_512x512_bs1x4",
     "several configs have this name. Give one of peft/soma_.*, soma/soma_"),
    ("rein_dino", "no such config. Similar: configs/.*rein_dinov2"),
    ("rein_dinvo3-L_mask2former", "Similar: .*configs/dinov3/rein_dinov3-L_mask2former"),
    ("xyz", "no such config. The configs are in configs/"),
    ("schedule_40k", "no such config"),  # a part of a config
])
def test_a_wrong_or_ambiguous_name_suggests_others(name, message):
    with pytest.raises(UserError, match=message):
        find_config(name)


def test_data_move_to_another_folder_again_and_again(tmp_path):
    (tmp_path / "b").mkdir()
    cfg = Config(dict(
        train=dict(data_root="data/gta", name="data/gta"),
        test=dict(datasets=[dict(data_root="data/acdc/"), dict(data_root="database/x")])))
    for folder in (tmp_path, tmp_path / "b"):
        move_data(cfg, folder)
        assert cfg.train == dict(data_root=f"{folder}/gta", name="data/gta")
        assert [one.data_root for one in cfg.test.datasets] == [f"{folder}/acdc/", "database/x"]


@pytest.mark.parametrize("folder, message", [
    ("nowhere", "--data nowhere: no such folder"), ("docs", "has no data_root inside data/")])
def test_data_that_cannot_move_are_named(folder, message):
    with pytest.raises(UserError, match=message):
        move_data(Config(dict(data_root="own/x")), folder)
