"""Datasets with domains: pairing, stamping, errors, and the dataset configs."""

import json
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmseg.registry import DATASETS
from PIL import Image
from rein.datasets.loading import CorruptFile, SampleError
from rein.datasets.urban import UrbanSceneDataset, build_dataset, check_folders, stamp_domains
from torch.utils.data import DataLoader

import rein  # noqa: F401  fills the registries
from rein.datasets.domains import domain_of_root
from rein.datasets.label_maps import CLASSES
from rein.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
BASES = ROOT / "configs/_base_/datasets"
TEST_PIPELINE = [
    dict(type="LoadImageFromFile"), dict(type="Resize", scale=(32, 16), keep_ratio=True),
    dict(type="LoadAnnotations"), dict(type="PackSegInputs")]
PREFIX = dict(img_path="images", seg_map_path="labels")


@pytest.fixture(autouse=True)
def mmseg_scope():
    from mmengine.registry import init_default_scope
    init_default_scope("mmseg")


def write(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels, np.uint8)).save(path)


def write_pair(root, name, label=0, suffixes=(".png", ".png"), prefix=PREFIX, size=(16, 32)):
    write(root / prefix["img_path"] / (name + suffixes[0]), np.full((*size, 3), 99))
    write(root / prefix["seg_map_path"] / (name + suffixes[1]), np.full(size, label))


def scenes(root, **kwargs):
    kwargs = dict(domain="citys", data_prefix=PREFIX, img_suffix=".png", seg_map_suffix=".png",
                  pipeline=TEST_PIPELINE) | kwargs
    return UrbanSceneDataset(data_root=str(root), **kwargs)


def cityscapes_cfg(root, **kwargs):
    return dict(type="CityscapesDataset", data_root=str(root), data_prefix=PREFIX,
                img_suffix=".png", seg_map_suffix=".png", pipeline=TEST_PIPELINE, **kwargs)


def test_every_sample_carries_its_domain_and_keeps_its_label_size(tmp_path):
    write_pair(tmp_path, "a", 3, size=(64, 128))
    sample = scenes(tmp_path, domain="acdc_fog")[0]
    assert sample["data_samples"].domain == "acdc_fog"
    assert sample["inputs"].shape == (3, 16, 32)
    assert sample["data_samples"].gt_sem_seg.data.shape == (1, 64, 128)


def test_domain_survives_test_time_augmentation(tmp_path):
    write_pair(tmp_path, "a")
    augmented = dict(type="TestTimeAug", transforms=[
        [dict(type="RandomFlip", prob=0.0), dict(type="RandomFlip", prob=1.0)],
        [dict(type="LoadAnnotations")], [dict(type="PackSegInputs")]])
    sample = scenes(tmp_path, pipeline=[dict(type="LoadImageFromFile"), augmented])[0]
    assert [one.domain for one in sample["data_samples"]] == ["citys", "citys"]


def test_images_and_labels_are_paired_by_name_not_by_position(tmp_path):
    for name, label in (("x/b", 2), ("a", 1), ("x/c", 3)):
        write_pair(tmp_path, name, label)
    write(tmp_path / "labels/a0.png", np.zeros((16, 32)))  # a label more, sorted in between
    samples = [sample["data_samples"] for sample in scenes(tmp_path)]
    found = {Path(s.img_path).stem: int(s.gt_sem_seg.data.max()) for s in samples}
    assert found == {"a": 1, "b": 2, "c": 3}


def test_missing_folder_is_named_with_the_way_to_get_it(tmp_path):
    with pytest.raises(UserError) as error:
        scenes(tmp_path / "cityscapes")
    assert str(tmp_path / "cityscapes/images") in str(error.value)
    assert f"python tools/convert_datasets/cityscapes.py {tmp_path}/cityscapes" in str(error.value)


def test_missing_folder_of_a_published_config_is_named_before_building(tmp_path):
    write_pair(tmp_path / "gta", "a")
    wrapped = dict(type="ConcatDataset", datasets=[
        cityscapes_cfg(tmp_path / "gta"), cityscapes_cfg(tmp_path / "mapillary")])
    check_folders(cityscapes_cfg(tmp_path / "gta"))
    with pytest.raises(UserError, match="mapillary2cityscape.py"):
        check_folders(wrapped)


def test_image_without_label_is_named_with_the_converter(tmp_path):
    for name in "abc":
        write_pair(tmp_path, name)
    (tmp_path / "labels/b.png").unlink()
    with pytest.raises(UserError, match=r"b\.png.*1 of 3.*convert_datasets/gta\.py"):
        scenes(tmp_path, domain="gta")


def test_a_few_images_without_label_are_left_out_where_the_config_allows_it(tmp_path):
    write_pair(tmp_path, "a")
    write(tmp_path / "images/b.png", np.zeros((8, 8, 3)))
    assert [Path(sample["img_path"]).stem for sample in map(
        scenes(tmp_path, max_unlabelled=1).get_data_info, range(1))] == ["a"]
    with pytest.raises(UserError, match="b.png.*1 of 2 images"):
        scenes(tmp_path)
    (tmp_path / "labels/a.png").unlink()
    with pytest.raises(UserError, match="2 of 2 images"):  # a few, but all there are
        scenes(tmp_path, max_unlabelled=10)


def test_labels_are_not_asked_for_without_a_label_folder(tmp_path):
    write(tmp_path / "images/a.png", np.zeros((16, 32, 3)))
    pipeline = [dict(type="LoadImageFromFile"), dict(type="PackSegInputs")]
    data = scenes(tmp_path, data_prefix=dict(img_path="images"), pipeline=pipeline)
    assert "gt_sem_seg" not in data[0]["data_samples"]


def test_folder_without_images_is_an_error(tmp_path):
    write_pair(tmp_path, "a")
    with pytest.raises(UserError, match=r"no file ends in '\.jpg'"):
        scenes(tmp_path, img_suffix=".jpg")


@pytest.mark.parametrize("content", [b"", b"no picture", None])
@pytest.mark.parametrize("ours", [True, False])
@pytest.mark.parametrize("folder", ["images", "labels"])
def test_file_that_does_not_decode_is_named(tmp_path, content, ours, folder):
    write_pair(tmp_path, "broken", size=(64, 64))
    path = tmp_path / folder / "broken.png"
    path.write_bytes(path.read_bytes()[:-30] if content is None else content)
    data = scenes(tmp_path) if ours else DATASETS.build(cityscapes_cfg(tmp_path))
    stamp_domains(data)
    with pytest.raises(SampleError, match=rf"{folder}/broken\.png: the .* does not decode"):
        data[0]


def test_label_inside_test_time_augmentation_is_checked_as_well(tmp_path):
    write_pair(tmp_path, "broken")
    path = tmp_path / "labels/broken.png"
    path.write_bytes(path.read_bytes()[:-30])
    augmented = dict(type="TestTimeAug", transforms=[
        [dict(type="RandomFlip", prob=0.0), dict(type="RandomFlip", prob=1.0)],
        [dict(type="LoadAnnotations")], [dict(type="PackSegInputs")]])
    data = scenes(tmp_path, pipeline=[dict(type="LoadImageFromFile"), augmented])
    with pytest.raises(SampleError, match=r"labels/broken\.png: the label does not decode"):
        data[0]


def test_image_too_thin_to_be_resized_is_named(tmp_path):
    write_pair(tmp_path, "thin", size=(1, 2000))
    with pytest.raises(CorruptFile, match=r"images/thin\.png: the image is 2000x1") as error:
        scenes(tmp_path)[0]
    assert error.value.domain == "citys" and error.value.path.endswith("thin.png")


def test_label_values_stand_for_the_classes_they_are_given_to(tmp_path):
    write_pair(tmp_path, "a", label=255)
    mask = dict(metainfo=dict(classes=("wall", "crack")), label_values=[0, 255])
    assert scenes(tmp_path, **mask)[0]["data_samples"].gt_sem_seg.data.unique().tolist() == [1]
    write_pair(tmp_path, "a", label=7)
    with pytest.raises(SampleError, match="label values 7, but 0, 255"):
        scenes(tmp_path, **mask)[0]
    with pytest.raises(UserError, match="one value for each"):
        scenes(tmp_path, metainfo=mask["metainfo"], label_values=[1, 2, 3])


def test_one_sixteenth_of_cityscapes_is_the_same_186_images_everywhere(tmp_path):
    cfg = Config.fromfile(BASES / "cityscapes.py").train_cityscapes_1of16
    names = (ROOT / "rein/datasets/lists" / cfg.ann_file).read_text().split()
    assert len(names) == len(set(names)) == 186 and names == sorted(names)
    suffixes = cfg.img_suffix, cfg.seg_map_suffix
    for name in [*names, "aachen/aachen_000000_000019"]:  # the last is not on the list
        write_pair(tmp_path, name, 0, suffixes, cfg.data_prefix, (1, 1))
    data = DATASETS.build(dict(cfg, data_root=str(tmp_path), pipeline=[]))
    found = [Path(data.get_data_info(i)["img_path"]).name for i in range(len(data))]
    assert found == [f"{Path(name).name}{cfg.img_suffix}" for name in names]


@pytest.mark.parametrize("ours", [True, False])
def test_label_values_that_are_no_train_ids_are_named(tmp_path, ours):
    write_pair(tmp_path / "cityscapes", "a")
    label = np.zeros((16, 32))
    label[0, :3] = 33, 26, 255
    write(tmp_path / "cityscapes/labels/a.png", label)
    root = tmp_path / "cityscapes"
    data = scenes(root) if ours else DATASETS.build(cityscapes_cfg(root))
    stamp_domains(data)
    with pytest.raises(SampleError, match=r"a\.png: label values 26, 33, but 0-18.*cityscapes\.py"):
        data[0]


def test_colour_labels_are_refused(tmp_path):
    write_pair(tmp_path, "a")
    write(tmp_path / "labels/a.png", np.zeros((16, 32, 3)))
    with pytest.raises(SampleError, match="3 colour channels"):
        scenes(tmp_path)[0]


def test_errors_in_loader_workers_stay_one_line(tmp_path):
    write_pair(tmp_path, "a", label=77)
    loader = DataLoader(scenes(tmp_path), num_workers=1, collate_fn=pseudo_collate)
    batches = iter(loader)
    with pytest.raises(UserError) as error:
        next(batches)
    batches._shutdown_workers()  # left to the garbage collector it takes 5 s
    assert str(error.value).startswith(str(tmp_path)) and "\n" not in str(error.value)


def test_own_classes_are_positions_and_never_remapped(tmp_path):
    write_pair(tmp_path, "a", label=1)
    data = scenes(tmp_path, domain="yard", metainfo=dict(classes=("road", "car")))
    assert len(data.metainfo["palette"]) == 2
    assert data[0]["data_samples"].gt_sem_seg.data.unique().tolist() == [1]
    write_pair(tmp_path, "a", label=2)
    with pytest.raises(SampleError, match="label values 2, but 0-1"):
        data[0]


@pytest.mark.parametrize("root, domain", [
    ("data/cityscapes/", "citys"), ("data/bdd100k", "bdd"), ("/x/mapillary/", "map"),
    ("data/acdc/", "acdc"), ("data/gta/", "gta"), ("/data/acdc/cityscapes/", "citys"),
    ("/cityscapes/my_night", "my_night"), (None, "unnamed")])
def test_only_the_last_part_of_the_data_root_names_a_domain(root, domain):
    assert domain_of_root(root) == domain


def test_published_datasets_are_stamped_once_however_deep_they_lie(tmp_path):
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


def fill(cfg, root):
    """Write two tiny samples for a dataset config and point it at them."""
    if cfg.type == "ConcatDataset":
        for part in cfg.datasets:
            fill(part, root)
        return
    if cfg.pop("ann_file", None):
        cfg.data_root += "part/"
    cfg.data_root = str(root / cfg.data_root)
    suffixes = (cfg.img_suffix, cfg.seg_map_suffix)
    for i in range(2):
        write_pair(Path(cfg.data_root), f"town/{i}", i, suffixes, cfg.data_prefix, (36, 64))


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


def test_toy_pipeline_differs_from_the_others_in_its_sizes_alone():
    cfg = Config.fromfile(BASES / "train_pipelines.py")
    toy, real = cfg.train_pipeline_toy, cfg.train_pipeline_512x512
    assert toy[2].scales == [256, 307, 358, 409] and toy[2].max_size == 1024
    assert [step for i, step in enumerate(toy) if i not in (2, 3)] == [
        step for i, step in enumerate(real) if i not in (2, 3)]


@pytest.mark.parametrize("path", sorted(BASES.glob("*.py")), ids=lambda path: path.stem)
def test_dataset_base_files_load_alone(path):
    assert len(Config.fromfile(path)) > 0


def published():
    path = ROOT.parent / "shared/reference/published_config.json"
    if not path.exists():
        pytest.skip("the reference folder is not here")
    return json.loads(path.read_text())


def without_our_names(dataset):
    """Turn a dataset config into what the published one says."""
    if "datasets" in dataset:
        return dict(dataset, datasets=[without_our_names(part) for part in dataset["datasets"]])
    ours = ("domain", "max_unlabelled")
    dataset = {key: value for key, value in dataset.items() if key not in ours}
    assert dataset["type"] == "UrbanSceneDataset"
    if dataset["img_suffix"] == "_leftImg8bit.png":  # CityscapesDataset has these by default
        assert dataset.pop("img_suffix") and dataset.pop("seg_map_suffix")
    return dict(dataset, type="CityscapesDataset")


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_512_loaders_say_what_the_published_ones_say(split):
    expected = published()[f"{split}_dataloader"]
    cfg = Config.fromfile(BASES / "dg_gta_512x512.py")[f"{split}_dataloader"].to_dict()
    ours = json.loads(json.dumps(cfg))
    assert ours.pop("num_workers") == "auto" and expected.pop("num_workers") > 0
    assert dict(ours, dataset=without_our_names(ours["dataset"])) == expected


@pytest.mark.parametrize("name", [
    "train_bdd", "val_bdd", "train_gta", "val_gta", "train_mapillary", "val_mapillary",
    "train_cityscapes", "val_cityscapes"])
def test_folders_and_suffixes_are_the_published_ones(name):
    expected, cfg = published()[name], Config.fromfile(BASES / "dg_gta_512x512.py")[name].to_dict()
    ours = without_our_names(json.loads(json.dumps(cfg)))
    for part in (expected, ours):
        if name.startswith("train"):  # pipelines of training are the loader's affair
            part.pop("pipeline", None)
    assert ours == expected


def test_evaluator_has_the_published_arguments():
    ours = Config.fromfile(BASES / "dg_gta_512x512.py").val_evaluator.to_dict()
    assert ours.pop("protocol") == "rein"
    assert ours == published()["val_evaluator"]


def test_published_datasets_build_from_json_with_the_domains_their_evaluator_asks_for(tmp_path):
    cfg = Config(published())
    parts = cfg.test_dataloader.dataset.datasets
    parts[0].update(  # fill() needs to know mmseg's defaults
        img_suffix="_leftImg8bit.png", seg_map_suffix="_gtFine_labelTrainIds.png")
    fill(cfg.test_dataloader.dataset, tmp_path)
    fill(cfg.train_dataloader.dataset, tmp_path)
    tests = build_dataset(cfg.test_dataloader.dataset)
    assert {one["data_samples"].domain for one in tests} == {*cfg.test_evaluator.dataset_keys}
    train = build_dataset(cfg.train_dataloader.dataset)[0]
    assert train["data_samples"].domain == "gta" and max(train["inputs"].shape) <= 512
    assert isinstance(parts[0].pipeline[1].scale, list)  # the config stays as it was


def test_classes_are_mmsegs_cityscapes_classes(tmp_path):
    write_pair(tmp_path, "a")
    theirs = DATASETS.build(cityscapes_cfg(tmp_path)).metainfo
    assert scenes(tmp_path).metainfo == theirs and theirs["classes"] == CLASSES
