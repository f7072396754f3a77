"""Datasets build from published configs and JSON, and list their files."""

import json

import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope
from scenes import PREFIX, fill, write_pair

from rein.datasets.building import build_dataset, files_of


@pytest.fixture(autouse=True)
def mmseg_scope():
    init_default_scope("mmseg")


def test_published_datasets_build_from_json_with_their_evaluators_domains(
        tmp_path, reference):
    cfg = Config(json.loads((reference / "published_config.json").read_text()))
    parts = cfg.test_dataloader.dataset.datasets
    parts[0].update(  # spell out mmseg's defaults for fill()
        img_suffix="_leftImg8bit.png", seg_map_suffix="_gtFine_labelTrainIds.png")
    fill(cfg.test_dataloader.dataset, tmp_path)
    fill(cfg.train_dataloader.dataset, tmp_path)
    tests = build_dataset(cfg.test_dataloader.dataset)
    assert {one["data_samples"].domain for one in tests} == {*cfg.test_evaluator.dataset_keys}
    train = build_dataset(cfg.train_dataloader.dataset)[0]
    assert train["data_samples"].domain == "gta" and max(train["inputs"].shape) <= 512
    assert isinstance(parts[0].pipeline[1].scale, list)  # the config is unchanged


def test_files_are_listed_once_with_their_kind(tmp_path):
    write_pair(tmp_path, "a")
    part = dict(
        type="UrbanSceneDataset", domain="citys", data_root=str(tmp_path), data_prefix=PREFIX,
        img_suffix=".png", seg_map_suffix=".png", pipeline=[])
    files = files_of(build_dataset(dict(type="ConcatDataset", datasets=[part, part])))
    assert files == [(f"{tmp_path}/images/a.png", False), (f"{tmp_path}/labels/a.png", True)]
