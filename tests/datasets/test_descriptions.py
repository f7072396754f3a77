"""Descriptions are complete, unique, light plain data; dataset configs are built from them."""

import json
import subprocess
import sys

import pytest
from conftest import ROOT

from rein.datasets.descriptions import (
    DESCRIPTIONS,
    dataset_config,
    describe_domain,
    eval_pipeline,
)
from rein.errors import UserError

ALL = [pytest.param(value, id=name) for name, value in DESCRIPTIONS.items()]


def test_names_domains_and_parts_are_unique():
    parts = [part.name for one in DESCRIPTIONS.values() for part in one.parts]
    domains = [name for one in DESCRIPTIONS.values() for name in [one.domain, *one.conditions]]
    for names in (parts, domains):
        assert len(names) == len({*names})


@pytest.mark.parametrize("dataset", ALL)
def test_a_description_is_complete(dataset):
    assert dataset.title and dataset.url.startswith("http")
    assert dataset.image_suffix.startswith((".", "_")) and dataset.parts[0].labels
    for part in dataset.parts:
        assert part.count > 0
        assert not part.domain or part.domain in dataset.conditions
    for setting in dataset.protocols.values():
        assert not setting.part or dataset.part(setting.part)
    assert {*dataset.submission} <= {dataset.domain, *dataset.conditions}


@pytest.mark.parametrize("dataset", ALL)
def test_converter_facts_are_complete_and_its_commands_exist(dataset):
    facts = dataset.label_map, dataset.raw_layout, dataset.download, dataset.convert
    assert all(facts) or not any(facts)
    commands = [command for command in dataset.convert.split(" && ") if command]
    for command in commands:
        python, tool, *arguments = command.format(root="data/x").split()
        assert python == "python" and (ROOT / tool).is_file() and "data/x" in arguments[0]
    assert {*(dataset.label_map or {0: 0}).values()} <= {
        *range(len(dataset.classes)), 255}
    assert "/x/" in dataset.raw_layout.format(root="/x") or not commands


def test_a_dataset_is_found_by_its_domain_or_conditions():
    assert describe_domain("map").title == "Mapillary"
    assert describe_domain("acdc_snow").name == "acdc"
    assert describe_domain("citys_frost_5").name == "cityscapes"
    assert describe_domain("own") is None


def test_a_dataset_config_is_an_independent_copy_of_plain_data():
    cfg = dataset_config("val_mapillary", protocol="rein")
    assert cfg == dict(
        type="UrbanSceneDataset", domain="map", data_root="data/mapillary/",
        data_prefix=dict(img_path="half/val_img", seg_map_path="half/val_label"),
        img_suffix=".jpg", seg_map_suffix=".png", pipeline=eval_pipeline(1024, 512))
    cfg["data_prefix"]["img_path"] = cfg["pipeline"][0]["type"] = "changed"
    assert "changed" not in json.dumps(dataset_config("val_mapillary", protocol="rein"))


def test_a_part_without_labels_loads_none():
    cfg = dataset_config("test_acdc_night", protocol="full")
    assert cfg["data_prefix"] == dict(img_path="rgb_anon/night/test")
    assert "seg_map_suffix" not in cfg and cfg["domain"] == "acdc_night"
    assert [step["type"] for step in cfg["pipeline"]] == [
        "LoadImageFromFile", "Resize", "PackSegInputs"]


def test_an_unknown_part_or_protocol_error_gives_the_alternatives():
    with pytest.raises(UserError, match="no dataset has a part 'val_gta'. Known parts: train_"):
        dataset_config("val_gta")
    with pytest.raises(UserError, match="protocol 'rein' does not cover ACDC.*eval_pipeline"):
        dataset_config("val_acdc_fog", protocol="rein")


def test_descriptions_and_checks_need_no_torch_and_no_mm_library():
    """Run in a separate process, with an empty module in place of `rein/__init__.py`."""
    code = (
        "import sys, types\n"
        f"for name, path in (('rein', {str(ROOT / 'rein')!r}),):\n"
        "    module = sys.modules[name] = types.ModuleType(name)\n"
        "    module.__path__ = [path]\n"
        "import rein.datasets.descriptions, rein.datasets.check, rein.datasets.dataset_configs\n"
        "import rein.datasets.converters.mapillary, rein.datasets.converters.cityscapes\n"
        "heavy = {'torch', 'mmengine', 'mmcv', 'mmseg', 'timm', 'cv2'} & {*sys.modules}\n"
        "assert not heavy, heavy\n")
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
