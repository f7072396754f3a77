"""Configs are read from files or checkpoints, with overrides from the command line."""

import re

import pytest
from conftest import ROOT
from mmengine.config import Config

from rein import checkpoint as ckpt
from rein.engine.configs.reading import load_config, read_config
from rein.errors import UserError

MAIN = "configs/dinov2/rein_dinov2_mask2former_512x512_bs1x4.py"


def test_overrides_are_literals_or_strings():
    cfg = load_config(MAIN, [
        "train_dataloader.batch_size=2", "model.precision=bf16", "compile=True",
        "tta_model.b=[1, 2]", "load_from=none"])
    assert cfg.train_dataloader.batch_size == 2 and cfg.model.precision == "bf16"
    assert cfg.compile is True and cfg.tta_model.b == [1, 2] and cfg.load_from is None


@pytest.mark.parametrize("override, message", [
    ("batch_size", "--cfg-options batch_size: expected KEY=VALUE"),
    ("model.type.name=1", "--cfg-options: "),
])
def test_overrides_that_do_not_fit_are_rejected(override, message):
    with pytest.raises(UserError, match=message):
        load_config(MAIN, [override])


def test_overrides_that_messages_and_pages_name_are_taken():
    texts = "".join(path.read_text() for path in (
        *(ROOT / "docs").glob("*.md"), *(ROOT / "rein").rglob("*.py")))
    named = set(re.findall(r"--cfg-options ([a-z_.]+=\w+)", texts))
    assert {"skip_non_finite_losses=True", "find_unused_parameters=True"} <= named
    for override in named:
        load_config(MAIN, [override])


def test_a_missing_config_error_suggests_similar_ones(tmp_path):
    with pytest.raises(UserError, match="no such config. Similar: configs/.*rein_dinov2"):
        load_config("rein_dinov2_mask.py")
    (tmp_path / "broken.py").write_text("model = dict(")
    with pytest.raises(UserError, match="broken.py: not a valid config"):
        load_config(tmp_path / "broken.py")


def test_an_error_of_many_lines_becomes_one(tmp_path):
    path = tmp_path / "foreign.py"
    path.write_text("custom_imports = dict(imports=['nowhere'])\n")
    with pytest.raises(UserError) as error:
        load_config(path)
    assert "'nowhere'" in str(error.value) and "\n" not in str(error.value)


def test_overrides_also_apply_to_a_checkpoints_config(tmp_path):
    text = Config(dict(test_cfg=dict(type="TestLoop"), size=1)).pretty_text
    path = ckpt.save_file(dict(meta=dict(cfg=text)), tmp_path / "merged.pth")
    assert read_config(path, ["size=2"]).size == 2


@pytest.mark.parametrize("override, near", [
    ("modle.x=1", "model"), ("compil=True", "compile"), ("train_dataloder.batch_size=1", "train_")])
def test_overrides_of_a_key_that_nothing_reads_are_rejected(override, near):
    with pytest.raises(UserError, match=f"has no key .*Did you mean '{near}"):
        load_config(MAIN, [override])


def test_a_config_is_read_by_name_with_its_data_elsewhere(tmp_path):
    cfg = load_config("rein_dinov2_mask2former_512x512_bs1x4", [
        "train_dataloader.dataset.data_root=mine"], data=tmp_path)
    roots = [one.data_root for one in cfg.test_dataloader.dataset.datasets]
    assert cfg.filename.endswith(MAIN) and len(roots) > 2
    assert all(root.startswith(f"{tmp_path}/") for root in roots)
    assert cfg.train_dataloader.dataset.data_root == "mine"  # overrides come last
