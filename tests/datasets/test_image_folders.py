"""Images are named by their place in the dataset, wherever it is stored."""

import pytest
from mmengine.registry import init_default_scope
from scenes import PREFIX, cityscapes_cfg, scenes, write_pair

from rein.datasets.building import build_dataset
from rein.datasets.image_folders import image_folders, image_name, image_paths


@pytest.fixture(autouse=True)
def mmseg_scope():
    init_default_scope("mmseg")


def test_names_are_paths_below_the_images_and_the_data_root(tmp_path):
    for name in ("seqA/1", "seqB/1"):
        write_pair(tmp_path, name)
    dataset = scenes(tmp_path)
    folders = image_folders(dataset)
    assert folders["citys"].below_root() == "images"
    assert image_name(f"{tmp_path}/images/seqB/1.png", "citys", folders) == "seqB/1.png"
    assert image_paths(dataset) == {"citys": {"images/seqA/1.png", "images/seqB/1.png"}}


def test_a_part_of_the_images_keeps_their_paths_below_the_data_root(tmp_path):
    write_pair(tmp_path, "ulm/1")
    part = scenes(tmp_path, data_prefix={key: f"{path}/ulm" for key, path in PREFIX.items()})
    assert image_folders(part)["citys"].below_root() == "images/ulm"
    assert image_paths(part) == {"citys": {"images/ulm/1.png"}}


def test_two_datasets_of_one_domain_share_their_common_folder(tmp_path):
    for root in ("a", "b"):
        write_pair(tmp_path / root, "1")
    parts = [cityscapes_cfg(tmp_path / root) | dict(type="UrbanSceneDataset", domain="own")
             for root in ("a", "b")]
    dataset = build_dataset(dict(type="ConcatDataset", datasets=parts))
    assert image_paths(dataset) == {"own": {"a/images/1.png", "b/images/1.png"}}


def test_images_outside_the_data_root_have_no_place_in_it(tmp_path):
    write_pair(tmp_path / "x", "1")
    prefix = {key: str(tmp_path / "x" / path) for key, path in PREFIX.items()}
    dataset = scenes(tmp_path / "elsewhere", data_prefix=prefix)
    assert image_folders(dataset) == {} == image_paths(dataset)
    assert image_name("x/images/1.png", "citys", {}) == "1.png"
