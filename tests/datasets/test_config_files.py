"""Files in configs/_base_/datasets load, build and match the published ones."""

import json

import pytest
from conftest import ROOT
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS
from scenes import fill

from rein.datasets.descriptions import DESCRIPTIONS

BASES = ROOT / "configs/_base_/datasets"


@pytest.fixture(autouse=True)
def mmseg_scope():
    init_default_scope("mmseg")


@pytest.fixture
def published(reference):
    """The published main config."""
    return json.loads((reference / "published_config.json").read_text())


@pytest.mark.parametrize("name, source, targets", [
    ("dg_gta_512x512", "gta", ["citys", "bdd", "map"]),
    ("dg_gta_1024x1024", "gta", ["citys", "bdd", "map"]),
    ("dg_citys_512x512", "citys", ["bdd", "map"]),
    ("dg_citys2acdc_512x512", "citys", ["acdc_night", "acdc_fog", "acdc_rain", "acdc_snow"]),
    ("dg_citys2acdc_1024x1024", "citys", ["acdc_night", "acdc_fog", "acdc_rain", "acdc_snow"])])
def test_dataset_configs_build_and_load(tmp_path, name, source, targets):
    cfg = Config.fromfile(BASES / f"{name}.py")
    assert cfg.test_dataloader == cfg.val_dataloader and cfg.test_evaluator == cfg.val_evaluator
    crop = int(name.rpartition("x")[2])
    fill(cfg.train_dataloader.dataset, tmp_path)
    train = DATASETS.build(cfg.train_dataloader.dataset)[0]
    assert train["data_samples"].domain == source
    assert max(train["inputs"].shape) <= crop
    fill(cfg.val_dataloader.dataset, tmp_path)
    tests = [sample["data_samples"] for sample in DATASETS.build(cfg.val_dataloader.dataset)]
    assert [sample.domain for sample in tests] == [name for name in targets for _ in range(2)]
    assert {tuple(sample.gt_sem_seg.data.shape) for sample in tests} == {(1, 36, 64)}
    assert set(cfg.val_evaluator.dataset_keys) == set(targets)


@pytest.mark.parametrize("name, sources", [
    ("dg_gta_synthia_512x512", ["gta", "synthia"]),
    ("dg_gta_synthia_urbansyn_512x512", ["gta", "synthia", "urbansyn"]),
    ("dg_gta_synthia_urbansyn_citys16_512x512", ["gta", "synthia", "urbansyn", "citys"])])
def test_unions_load_every_source(tmp_path, name, sources):
    cfg = Config.fromfile(BASES / f"{name}.py")
    assert len(cfg.train_dataloader.sampler.get("weights", sources)) == len(sources)
    fill(cfg.train_dataloader.dataset, tmp_path)
    samples = [sample["data_samples"] for sample in DATASETS.build(cfg.train_dataloader.dataset)]
    assert [sample.domain for sample in samples] == [name for name in sources for _ in range(2)]


def test_toy_pipeline_differs_only_in_sizes():
    cfg = Config.fromfile(BASES / "train_pipelines.py")
    toy, real = cfg.train_pipeline_toy, cfg.train_pipeline_512x512
    assert toy[2].scales == [256, 307, 358, 409] and toy[2].max_size == 1024
    assert [step for i, step in enumerate(toy) if i not in (2, 3)] == [
        step for i, step in enumerate(real) if i not in (2, 3)]


@pytest.mark.parametrize("path", sorted(BASES.glob("*.py")), ids=lambda path: path.stem)
def test_dataset_base_files_load_alone(path):
    assert len(Config.fromfile(path)) > 0


def without_our_names(dataset):
    """Rewrite a dataset config under the published names."""
    if "datasets" in dataset:
        return dict(dataset, datasets=[without_our_names(part) for part in dataset["datasets"]])
    ours = ("domain", "max_unlabelled")
    dataset = {key: value for key, value in dataset.items() if key not in ours}
    assert dataset["type"] == "UrbanSceneDataset"
    if dataset["img_suffix"] == "_leftImg8bit.png":  # defaults of CityscapesDataset
        assert dataset.pop("img_suffix") and dataset.pop("seg_map_suffix")
    return dict(dataset, type="CityscapesDataset")


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_512_loaders_equal_the_published_ones(published, split):
    expected = published[f"{split}_dataloader"]
    cfg = Config.fromfile(BASES / "dg_gta_512x512.py")[f"{split}_dataloader"].to_dict()
    ours = json.loads(json.dumps(cfg))
    assert ours.pop("num_workers") == "auto" and expected.pop("num_workers") > 0
    assert dict(ours, dataset=without_our_names(ours["dataset"])) == expected


@pytest.mark.parametrize("name", [
    "train_bdd", "val_bdd", "train_gta", "val_gta", "train_mapillary", "val_mapillary",
    "train_cityscapes", "val_cityscapes"])
def test_folders_and_suffixes_are_the_published_ones(published, name):
    expected, cfg = published[name], Config.fromfile(BASES / "dg_gta_512x512.py")[name].to_dict()
    ours = without_our_names(json.loads(json.dumps(cfg)))
    for part in (expected, ours):
        if name.startswith("train"):  # the loader sets training pipelines
            part.pop("pipeline", None)
    assert ours == expected


def test_evaluator_has_the_published_arguments(published):
    ours = Config.fromfile(BASES / "dg_gta_512x512.py").val_evaluator.to_dict()
    assert ours.pop("protocol") == "rein"
    assert ours == published["val_evaluator"]


@pytest.mark.parametrize("name", DESCRIPTIONS)
def test_each_dataset_has_a_config_file_that_loads_its_parts_and_no_others(name):
    described = [
        (part.name, part.images, part.labels, part.list_file, part.domain)
        for part in DESCRIPTIONS[name].parts]
    loaded = []
    for variable, value in Config.fromfile(BASES / f"{name}.py").items():
        several = isinstance(value, list)  # e.g. test_acdc, whose parts differ in domain
        for cfg in value if several else [value]:
            if isinstance(cfg, dict) and cfg.get("type") == "UrbanSceneDataset":
                part = f"test_{cfg.domain}" if several else variable
                own = cfg.domain if cfg.domain != DESCRIPTIONS[name].domain else ""
                assert cfg.data_root == f"data/{name}/"
                loaded.append((part, cfg.data_prefix.img_path,
                               cfg.data_prefix.get("seg_map_path", ""), cfg.get("ann_file", ""),
                               own))
    assert {part[1:] for part in loaded} == {part[1:] for part in described}
    assert {*described} <= {*loaded}


def test_real_images_are_a_quarter_of_the_mixture_with_a_sixteenth_of_cityscapes():
    cfg = Config.fromfile(BASES / "dg_gta_synthia_urbansyn_citys16_512x512.py")
    counts = [DESCRIPTIONS[name].parts[0].count for name in ("gta", "synthia", "urbansyn")]
    *synthetic, real = cfg.train_dataloader.sampler.weights
    assert synthetic == counts and real == sum(counts) // 3
