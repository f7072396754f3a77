"""Dataset configs before building: configs inside wrappers, missing folders."""

import pytest
from scenes import cityscapes_cfg, write_pair

from rein.datasets.dataset_configs import check_folders, leaf_datasets
from rein.errors import UserError


def test_missing_folder_of_a_published_config_is_named_before_building(tmp_path):
    write_pair(tmp_path / "gta", "a")
    wrapped = dict(type="ConcatDataset", datasets=[
        cityscapes_cfg(tmp_path / "gta"), cityscapes_cfg(tmp_path / "mapillary")])
    check_folders(cityscapes_cfg(tmp_path / "gta"))
    with pytest.raises(UserError, match="mapillary2cityscape.py"):
        check_folders(wrapped)


def test_leaves_are_found_inside_wrappers_and_can_be_changed():
    a, b = dict(type="A"), dict(type="B")
    wrapped = dict(datasets=[dict(dataset=a), dict(datasets=[b])])
    leaves = leaf_datasets(wrapped)
    assert leaves[0] is a and leaves[1] is b and leaf_datasets(a) == [a]
