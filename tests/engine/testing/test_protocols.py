"""Protocols are pure functions on configs: sizes, folders, crops; labels keep their size."""

import copy
import json

import pytest
from conftest import ROOT
from mmengine.config import Config

from rein.datasets.dataset_configs import type_name
from rein.engine.configs.reading import load_config
from rein.engine.testing.protocols import (
    apply_protocol,
    datasets_under_test,
    dg_evaluator,
    domain_of,
    for_submission,
    inference_text,
    set_mode,
    sizes,
    use_tta,
)
from rein.errors import UserError

MAIN = "configs/dinov2/rein_dinov2_mask2former_512x512_bs1x4.py"
LARGE = "configs/dinov2/rein_dinov2_mask2former_1024x1024_bs4x2.py"
ACDC = "configs/dinov2_citys2acdc/rein_dinov2_mask2former_512x512_bs1x4.py"

TABLE = {
    "rein": ({"citys": "1024x512", "bdd": "1280x720", "map": "1024x512"}, "half/val_label"),
    "full": ({"citys": "2048x1024", "bdd": "1280x720", "map": "2048x1024"},
             "cityscapes_trainIdLabel/val/label"),
}


def published(reference):
    return Config(json.loads((reference / "published_config.json").read_text()))


def ours(reference):
    return load_config(MAIN)


@pytest.mark.parametrize("start", ["rein", "full"])
@pytest.mark.parametrize("name", ["rein", "full"])
@pytest.mark.parametrize("config", [ours, published])
def test_each_protocol_is_reached_from_any_config(config, name, start, reference):
    cfg = apply_protocol(apply_protocol(config(reference), start), name)
    expected, mapillary_labels = TABLE[name]
    assert sizes(cfg) == expected
    *_, mapillary = sorted(datasets_under_test(cfg), key=lambda part: "mapillary" in part.data_root)
    assert mapillary.data_prefix.seg_map_path == mapillary_labels
    assert cfg.test_evaluator["protocol"] == name
    for dataset in datasets_under_test(cfg):
        kinds = [step["type"] for step in dataset.pipeline]
        assert kinds.count("Resize") == 1
        assert kinds.index("Resize") < kinds.index("LoadAnnotations")  # labels keep their size


def test_our_config_already_follows_the_rein_protocol():
    cfg = load_config(MAIN)
    assert apply_protocol(cfg, "rein").test_dataloader == cfg.test_dataloader


def test_the_config_given_is_not_changed():
    cfg = load_config(MAIN)
    before = copy.deepcopy(cfg._cfg_dict)
    apply_protocol(cfg, "full")
    for_submission(cfg, "cityscapes")
    assert cfg._cfg_dict == before


def test_labels_loaded_before_resizing_are_loaded_after_it():
    cfg = load_config(MAIN)
    load, resize, labels, pack = datasets_under_test(cfg)[0].pipeline
    datasets_under_test(cfg)[0].pipeline = [load, labels, resize, pack]
    kinds = [step["type"] for step in datasets_under_test(apply_protocol(cfg, "full"))[0].pipeline]
    assert kinds == ["LoadImageFromFile", "Resize", "LoadAnnotations", "PackSegInputs"]


def test_a_scope_before_a_type_changes_nothing():
    plain, scoped = load_config(MAIN), load_config(MAIN)
    for dataset in datasets_under_test(scoped):
        for step in dataset.pipeline:
            step["type"] = f"mmseg.{step['type']}"
    scoped.test_evaluator.type = "mmseg.DGIoUMetric"
    found = []
    for cfg in (plain, scoped):
        cfg = apply_protocol(cfg, "full")
        submitted = for_submission(cfg, "cityscapes")
        before = sizes(cfg), dg_evaluator(cfg)["protocol"]
        use_tta(cfg)
        kinds = [[type_name(step) for step in dataset.pipeline] for one in (cfg, submitted)
                 for dataset in datasets_under_test(one)]
        found.append((before, kinds))
    assert found[0] == found[1]


def test_a_step_that_equals_one_before_resizing_is_kept():
    cfg = load_config(MAIN)
    load, resize, labels, pack = datasets_under_test(cfg)[0].pipeline
    twice = dict(type="Corrupt", corruption="fog", severity=1)
    datasets_under_test(cfg)[0].pipeline = [load, twice, resize, dict(twice), labels, pack]
    cfg = apply_protocol(cfg, "full")
    kinds = [step["type"] for step in datasets_under_test(cfg)[0].pipeline]
    assert kinds == [
        "LoadImageFromFile", "Corrupt", "Resize", "Corrupt", "LoadAnnotations", "PackSegInputs"]
    use_tta(cfg)
    *_, augmentation = datasets_under_test(cfg)[0].pipeline
    steps = [choice[0]["type"] for choice in augmentation["transforms"]]
    assert steps == ["Resize", "RandomFlip", "Corrupt", "LoadAnnotations", "PackSegInputs"]


def test_domains_outside_a_protocol_are_unchanged_and_a_config_may_add_them():
    cfg = load_config(MAIN)
    datasets_under_test(cfg)[1].domain = "yard"
    assert sizes(apply_protocol(cfg, "full")) == {
        "citys": "2048x1024", "yard": "1280x720", "map": "2048x1024"}
    cfg.protocols = dict(full=dict(yard=dict(scale=[300, 200])))
    assert sizes(apply_protocol(cfg, "full"))["yard"] == "300x200"
    assert sizes(apply_protocol(load_config(ACDC), "full"))["acdc_fog"] == "1920x1080"


def test_protocols_that_do_not_fit_are_reported():
    with pytest.raises(UserError, match="no such protocol: half. Choose from rein, full"):
        apply_protocol(load_config(MAIN), "half")
    with pytest.raises(UserError, match="rein is for citys, bdd, map, but .* acdc_night"):
        apply_protocol(load_config(ACDC), "rein")


def test_models_keep_their_own_crop():
    small, large = load_config(MAIN), load_config(LARGE)
    for cfg in (small, large):
        set_mode(cfg, "slide")
    assert inference_text(small) == "slide, crop 512x512, stride 341x341"
    assert inference_text(large) == "slide, crop 1024x1024, stride 683x683"
    for cfg, expected in ((small, (341, 341)), (large, (683, 683))):
        del cfg.model.test_cfg["crop_size"]
        set_mode(cfg, "whole")
        assert inference_text(cfg) == "whole"
        set_mode(cfg, "slide")
        assert tuple(cfg.model.test_cfg.stride) == expected


def test_tta_scales_the_protocols_size():
    cfg = apply_protocol(load_config(MAIN), "full")
    use_tta(cfg)
    resizes = datasets_under_test(cfg)[0].pipeline[1]["transforms"][0]
    assert [step["scale"] for step in resizes] == [(1536, 768), (2048, 1024), (2560, 1280)]


@pytest.mark.parametrize("factor, expected", [
    (0.5, [0.375, 0.5, 0.625]), ((0.5, 1.0), [(0.375, 0.75), (0.5, 1.0), (0.625, 1.25)])])
def test_tta_scales_a_factor_or_one_per_side(factor, expected):
    cfg = load_config(MAIN)
    datasets_under_test(cfg)[0].pipeline[1] = dict(type="Resize", scale_factor=factor)
    use_tta(cfg)
    resizes = datasets_under_test(cfg)[0].pipeline[1]["transforms"][0]
    assert [step["scale_factor"] for step in resizes] == expected


def test_corruptions_stay_before_every_resizing():
    """Corruptions are defined at the original size, as in Cityscapes-C."""
    cfg = load_config(ROOT / "configs/dinov2_citys/rein_dinov2_mask2former_citysc_512x512_bs1x4.py")
    cfg.protocols = dict(own={domain_of(datasets_under_test(cfg)[0]): dict(scale=(512, 256))})
    cfg = apply_protocol(cfg, "own")
    expected = ["LoadImageFromFile", "Corrupt"]
    kinds = [step["type"] for step in datasets_under_test(cfg)[0].pipeline]
    assert kinds[:3] == [*expected, "Resize"]
    use_tta(cfg)
    for dataset in datasets_under_test(cfg):
        assert [step["type"] for step in dataset.pipeline] == [*expected, "TestTimeAug"]
        steps = [step["type"] for choice in dataset.pipeline[2]["transforms"] for step in choice]
        assert "Corrupt" not in steps and "LoadAnnotations" in steps


@pytest.mark.parametrize("server, config, folders", [
    ("cityscapes", MAIN, ["leftImg8bit/test"]),
    ("acdc", ACDC, [f"rgb_anon/{name}/test" for name in ("night", "fog", "rain", "snow")]),
])
def test_submissions_predict_the_servers_unlabelled_images(server, config, folders):
    cfg = for_submission(load_config(config), server)
    assert [part.data_prefix for part in datasets_under_test(cfg)] == [
        dict(img_path=folder) for folder in folders]
    assert all(step["type"] != "LoadAnnotations"
               for part in datasets_under_test(cfg) for step in part.pipeline)
    with pytest.raises(UserError, match="needs a config that tests on acdc_night"):
        for_submission(load_config(MAIN), "acdc")


def test_toy_protocols_differ_as_the_real_ones_do():
    cfg = load_config(ROOT / "configs/toy/rein_toy_vit_mask2former_256x256.py")
    assert sizes(apply_protocol(cfg, "rein")) == {
        "citys": "256x128", "bdd": "448x252", "map": "256x128", "acdc_night": "512x256"}
    assert sizes(apply_protocol(cfg, "full"))["map"] == "512x256"
