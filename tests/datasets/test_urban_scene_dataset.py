"""UrbanSceneDataset: pairing, lists, own classes; errors name missing files and the fix."""

from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS
from scenes import cityscapes_cfg, scenes, write, write_pair

from rein.datasets.descriptions import dataset_config
from rein.datasets.label_maps import CLASSES
from rein.datasets.sample_checks import SampleError
from rein.errors import UserError


@pytest.fixture(autouse=True)
def mmseg_scope():
    init_default_scope("mmseg")


def test_images_and_labels_are_paired_by_name_not_by_position(tmp_path):
    for name, label in (("x/b", 2), ("a", 1), ("x/c", 3)):
        write_pair(tmp_path, name, label)
    write(tmp_path / "labels/a0.png", np.zeros((16, 32)))  # an extra label, sorted in between
    samples = [sample["data_samples"] for sample in scenes(tmp_path)]
    found = {Path(s.img_path).stem: int(s.gt_sem_seg.data.max()) for s in samples}
    assert found == {"a": 1, "b": 2, "c": 3}


def test_missing_folder_error_says_how_to_get_it(tmp_path):
    with pytest.raises(UserError) as error:
        scenes(tmp_path / "cityscapes")
    assert str(tmp_path / "cityscapes/images") in str(error.value)
    assert f"python tools/convert_datasets/cityscapes.py {tmp_path}/cityscapes" in str(error.value)


def test_image_without_label_is_named_with_its_converter(tmp_path):
    for name in "abc":
        write_pair(tmp_path, name)
    (tmp_path / "labels/b.png").unlink()
    with pytest.raises(UserError, match=r"b\.png.*1 of 3.*convert_datasets/gta\.py"):
        scenes(tmp_path, domain="gta")


def test_a_few_images_without_label_are_skipped_if_the_config_allows_it(tmp_path):
    write_pair(tmp_path, "a")
    write(tmp_path / "images/b.png", np.zeros((8, 8, 3)))
    assert [Path(sample["img_path"]).stem for sample in map(
        scenes(tmp_path, max_unlabelled=1).get_data_info, range(1))] == ["a"]
    with pytest.raises(UserError, match="b.png.*1 of 2 images"):
        scenes(tmp_path)
    (tmp_path / "labels/a.png").unlink()
    with pytest.raises(UserError, match="2 of 2 images"):  # few, but all of them
        scenes(tmp_path, max_unlabelled=10)


def test_labels_are_optional_without_a_label_folder(tmp_path):
    write(tmp_path / "images/a.png", np.zeros((16, 32, 3)))
    pipeline = [dict(type="LoadImageFromFile"), dict(type="PackSegInputs")]
    data = scenes(tmp_path, data_prefix=dict(img_path="images"), pipeline=pipeline)
    assert "gt_sem_seg" not in data[0]["data_samples"]


def test_folder_without_images_is_an_error(tmp_path):
    write_pair(tmp_path, "a")
    with pytest.raises(UserError, match=r"no file ends in '\.jpg'"):
        scenes(tmp_path, img_suffix=".jpg")


def test_label_values_map_to_their_classes(tmp_path):
    write_pair(tmp_path, "a", label=255)
    mask = dict(metainfo=dict(classes=("wall", "crack")), label_values=[0, 255])
    assert scenes(tmp_path, **mask)[0]["data_samples"].gt_sem_seg.data.unique().tolist() == [1]
    write_pair(tmp_path, "a", label=7)
    with pytest.raises(SampleError, match="label values 7, but 0, 255"):
        scenes(tmp_path, **mask)[0]
    for values, message in (
        ([1, 2, 3], "one value for each"), ([0, 0, 1], "one value for each"),
        ([0, 256], "0 to 255"), ([-1, 0], "0 to 255"),
    ):
        with pytest.raises(UserError, match=message):
            scenes(tmp_path, metainfo=mask["metainfo"], label_values=values)


def test_one_sixteenth_of_cityscapes_is_the_same_186_images_everywhere(tmp_path):
    cfg = Config(dict(part=dataset_config("train_cityscapes_1of16"))).part
    names = (ROOT / "rein/datasets/lists" / cfg.ann_file).read_text().split()
    assert len(names) == len(set(names)) == 186 and names == sorted(names)
    suffixes = cfg.img_suffix, cfg.seg_map_suffix
    for name in [*names, "aachen/aachen_000000_000019"]:  # the last is not on the list
        write_pair(tmp_path, name, 0, suffixes, cfg.data_prefix, (1, 1))
    data = DATASETS.build(dict(cfg, data_root=str(tmp_path), pipeline=[]))
    found = [Path(data.get_data_info(i)["img_path"]).name for i in range(len(data))]
    assert found == [f"{Path(name).name}{cfg.img_suffix}" for name in names]


def test_own_classes_are_positions_and_never_remapped(tmp_path):
    write_pair(tmp_path, "a", label=1)
    data = scenes(tmp_path, domain="yard", metainfo=dict(classes=("road", "car")))
    assert len(data.metainfo["palette"]) == 2
    assert data[0]["data_samples"].gt_sem_seg.data.unique().tolist() == [1]
    write_pair(tmp_path, "a", label=2)
    with pytest.raises(SampleError, match="label values 2, but 0-1"):
        data[0]


def test_classes_are_mmsegs_cityscapes_classes(tmp_path):
    write_pair(tmp_path, "a")
    theirs = DATASETS.build(cityscapes_cfg(tmp_path)).metainfo
    assert scenes(tmp_path).metainfo == theirs and theirs["classes"] == CLASSES
