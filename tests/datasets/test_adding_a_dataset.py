"""The documentation's example of a new dataset runs: one description, one config, one test."""

import sys

import pytest
from conftest import ROOT
from doc_blocks import example_files
from mmengine.config import Config
from mmengine.registry import init_default_scope

from rein.datasets import descriptions
from rein.datasets.domains import domain_of_root, domain_title
from rein.engine.testing.protocols import apply_protocol, sizes

GUIDE = ROOT / "docs/extending_dataset.md"
LEAF = "configs/dinov2/rein_dinov2_mask2former_gta2villages_512x512.py"


@pytest.fixture
def files(monkeypatch):
    """The example's files, path -> text, with its description known to the package."""
    files = example_files(GUIDE)
    villages = run(files["rein/datasets/descriptions/villages.py"])["VILLAGES"]
    monkeypatch.setitem(descriptions.DESCRIPTIONS, villages.name, villages)
    init_default_scope("mmseg")
    return files


def run(text):
    names = {}
    exec(text, names)
    return names


def test_example_test_passes(files, tmp_path):
    test = run(files["tests/datasets/test_villages.py"])
    test["test_villages_are_checked_and_loaded_with_their_domain"](tmp_path)


def test_example_configs_load_and_follow_protocols(files, tmp_path):
    for name in ("configs/_base_/datasets/villages.py", LEAF):
        target = tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(files[name].replace(
            '"./rein_dino', f'"{ROOT}/configs/dinov2/rein_dino'))
    cfg = Config.fromfile(tmp_path / LEAF)
    assert sizes(cfg) == {"village": "1600x900"}
    villages, = cfg.test_dataloader.dataset.datasets
    villages.pipeline[1].scale = (800, 450)
    assert sizes(apply_protocol(cfg, "full")) == {"village": "1600x900"}
    assert cfg.test_evaluator.dataset_keys == ["village"]


def test_example_has_a_title_and_is_found_by_its_folder(files):
    assert domain_title("village") == "Villages" and domain_of_root("data/villages/") == "village"


def test_package_is_left_unchanged():
    assert "villages" not in descriptions.DESCRIPTIONS
    assert "rein.datasets.descriptions.villages" not in sys.modules
