"""Titles of domains, and where to get their files."""

import pytest

from rein.datasets.domains import Origin, domain_of_root, domain_title, require_folder
from rein.errors import UserError


@pytest.mark.parametrize("root, domain", [
    ("data/cityscapes/", "citys"), ("data/bdd100k", "bdd"), ("/x/mapillary/", "map"),
    ("data/acdc/", "acdc"), ("data/gta/", "gta"), ("/data/acdc/cityscapes/", "citys"),
    ("/cityscapes/my_night", "my_night"), (None, "unnamed")])
def test_only_the_last_component_of_the_data_root_names_a_domain(root, domain):
    assert domain_of_root(root) == domain


@pytest.mark.parametrize("domain, title", [
    ("citys", "Cityscapes"), ("acdc_fog", "ACDC fog"), ("acdc", "ACDC"), ("own", "own"),
    ("citys_shot_noise_3", "shot noise 3")])
def test_titles_come_from_the_dataset_or_the_condition(domain, title):
    assert domain_title(domain) == title


@pytest.mark.parametrize("domain, convert, get", [
    ("gta", "Run `python tools/convert_datasets/gta.py d/gta`.", "extract it to d/gta. Run"),
    ("citys_fog_1", "cityscapes.py d/gta`.", "Get fog 1 from https://www.cityscapes-dataset.com"),
    ("acdc_fog", "Get the labels of ACDC fog (published as trainIds) again from", "Get ACDC fog"),
    ("own", "positions in the `classes`", "Correct `data_root`")])
def test_origin_says_how_to_get_and_convert_a_dataset(domain, convert, get):
    origin = Origin(domain, "d/gta/")
    assert convert in origin.how_to_convert() and get in origin.how_to_get()


def test_a_missing_folder_is_named_with_its_absolute_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    require_folder(".", Origin("own", None))
    with pytest.raises(UserError, match=f"^{tmp_path}/nowhere: no such folder. Correct"):
        require_folder("nowhere", Origin("own", None))
