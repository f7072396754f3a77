"""Samples carry the domain of their dataset, stamped once, also after augmentation."""

import pytest
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS
from scenes import AUGMENTED_PIPELINE, cityscapes_cfg, scenes, write_pair

from rein.datasets.domain_stamps import stamp_domains


@pytest.fixture(autouse=True)
def mmseg_scope():
    init_default_scope("mmseg")


def test_every_sample_carries_its_domain_and_keeps_its_label_size(tmp_path):
    write_pair(tmp_path, "a", 3, size=(64, 128))
    sample = scenes(tmp_path, domain="acdc_fog")[0]
    assert sample["data_samples"].domain == "acdc_fog"
    assert sample["inputs"].shape == (3, 16, 32)
    assert sample["data_samples"].gt_sem_seg.data.shape == (1, 64, 128)


def test_domain_survives_test_time_augmentation(tmp_path):
    write_pair(tmp_path, "a")
    sample = scenes(tmp_path, pipeline=AUGMENTED_PIPELINE)[0]
    assert [one.domain for one in sample["data_samples"]] == ["citys", "citys"]


def test_published_datasets_are_stamped_once_at_any_depth(tmp_path):
    for folder in ("acdc/cityscapes", "bdd100k", "own"):
        write_pair(tmp_path / folder, "a")
    nested = DATASETS.build(dict(type="RepeatDataset", times=1, dataset=dict(
        type="ConcatDataset", datasets=[
            cityscapes_cfg(tmp_path / "acdc/cityscapes/"),
            dict(type="ConcatDataset", datasets=[
                cityscapes_cfg(tmp_path / "bdd100k"),
                cityscapes_cfg(tmp_path / "own") | dict(
                    type="UrbanSceneDataset", domain="declared")])])))
    stamp_domains(nested)
    steps = [len(leaf.pipeline.transforms) for leaf in nested.dataset.datasets[1].datasets]
    stamp_domains(nested)
    assert [nested[i]["data_samples"].domain for i in range(3)] == ["citys", "bdd", "declared"]
    again = [len(leaf.pipeline.transforms) for leaf in nested.dataset.datasets[1].datasets]
    assert steps == again == [5, 5]
