"""Calibration changes a checkpoint's meta alone, and tests report confidence and familiarity."""

import copy
import errno
import functools
import json

import numpy as np
import pytest
import torch
from conftest import build
from faults.file_faults import KILL, file_faults, in_child
from mmengine.logging.history_buffer import HistoryBuffer
from tiny_testing import run_test, scenes_config, write_scenes, write_weights

import rein
from rein import checkpoint as ckpt
from rein.engine.testing.calibrate import calibrate_checkpoint, calibration_text, source_images
from rein.engine.testing.options import EvaluationOptions
from rein.engine.weights.files import split_file
from rein.errors import UserError


def config(root):
    """Train on one town, hold the other out, test both."""
    return copy.deepcopy(_config(root))


@functools.cache
def _config(root):
    cfg = scenes_config(root / "data")
    for name, town in (("train", "bonn"), ("calibration", "ulm")):
        loader = copy.deepcopy(cfg.test_dataloader)
        loader.dataset.data_prefix = dict(img_path=f"images/{town}", seg_map_path=f"labels/{town}")
        cfg[f"{name}_dataloader"] = loader
    cfg.train_dataloader.dataset.pipeline = [dict(type="LoadImageFromFile")]  # replaced
    return cfg


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A folder with data, plain weights and calibrated ones."""
    root = tmp_path_factory.mktemp("world")
    write_scenes(root / "data", images=3)
    write_weights(root / "m.pth")
    ckpt.save_file(ckpt.load_file(root / "m.pth"), root / "c.pth")
    done = calibrate_checkpoint(config(root), str(root / "c.pth"))
    return root, done


def test_calibration_lowers_the_likelihood_and_says_what_it_used(world):
    root, done = world
    meta = ckpt.load_file(root / "c.pth")["meta"]
    assert done.after.nll < done.before.nll and done.after.temperature != 1
    assert meta["calibration"]["temperature"] == done.after.temperature
    assert meta["calibration"]["images"] == 3 and meta["calibration"]["pixels"] == done.pixels
    assert "calibration_dataloader" in done.data and "images/ulm" in done.data
    assert meta["feature_statistics"]["images"] == meta["feature_statistics"]["held_out"] == 3
    text = calibration_text(done)
    assert f"ECE {done.before.ece:.2f} -> {done.after.ece:.2f}" in text and "c.pth" in text


@pytest.mark.parametrize("name", ["t.pth", pytest.param(
    "bare.safetensors", marks=pytest.mark.faults)])
def test_weights_digest_and_the_rest_of_a_file_stay(world, name):
    root, _ = world
    weights = ckpt.load_file(root / "m.pth")["state_dict"]
    content = weights if name.startswith("bare") else dict(
        meta=dict(iter=7, cfg="a = 1\n"), state_dict=weights)
    if name == "t.pth":
        content |= dict(optimizer=dict(state={0: dict(step=torch.ones(1))}, param_groups=[{}]),
                        message_hub=dict(log_scalars=dict(loss=HistoryBuffer([1.0], [1]))))
    ckpt.save_file(content, root / name)
    calibrate_checkpoint(config(root), str(root / name))
    found = ckpt.load_file(root / name)
    assert ckpt.digest(ckpt.state_dict_of(found)) == ckpt.digest(weights)
    assert all(torch.equal(value, weights[key]) and value.dtype == weights[key].dtype
               for key, value in found["state_dict"].items())
    assert {"calibration", "feature_statistics"} <= found["meta"].keys()
    if not name.startswith("bare"):
        assert found["meta"]["iter"] == 7 and found.keys() == content.keys()
    if name == "t.pth":
        assert found["message_hub"]["log_scalars"]["loss"].mean() == 1
        assert torch.equal(found["optimizer"]["state"][0]["step"], torch.ones(1))


@pytest.mark.faults
def test_a_killed_calibration_leaves_the_file_as_it_was(world):
    root, _ = world
    before = (root / "m.pth").read_bytes()
    for number, fault in ((1, KILL), (2, errno.ENOSPC)):
        (root / "k.pth").write_bytes(before)

        def attempt(number=number, fault=fault):
            with file_faults(root, number, fault, counts=lambda one: one.name != "read"):
                calibrate_checkpoint(config(root), str(root / "k.pth"))

        ended = in_child(attempt)
        assert ended.code and (root / "k.pth").read_bytes() == before, ended.err


def test_reports_have_calibration_error_and_flagged_images(world):
    root, done = world
    plain, = run_test(root, out=str(root / "plain"))
    tested, = run_test(root, out=str(root / "calibrated"), checkpoint="c.pth")
    assert plain.metrics == tested.metrics  # no prediction changes
    before, after = (json.loads((one.folder / "results.json").read_text())
                     for one in (plain, tested))
    assert before["run"]["temperature"] == 1
    assert after["run"]["temperature"] == done.after.temperature
    old, new = before["reliability"]["citys"], after["reliability"]["citys"]
    assert old["flagged"] is None and 0 <= new["flagged"] <= 100
    assert old["ECE"] != new["ECE"]
    assert old["accuracy"] == pytest.approx(plain.metrics["citys_aAcc"], abs=0.01)
    assert sum(new["bins"]["pixels"]) == 6 * 48 * 96
    with np.load(tested.folder / "results.npz") as file:
        assert file["shift"].shape == (6,) and (file["shift"] > 0).all()
    for name in ("results.md", "results.html"):
        text = (tested.folder / name).read_text()
        assert "ECE" in text and f"{new['ECE']:.2f}" in text and "images flagged" in text
        assert f"temperature {done.after.temperature:.3f}" in text
        assert "not calibrated" in (plain.folder / name).read_text()


def test_the_python_interface_uses_the_calibration(world):
    root, done = world
    content = ckpt.load_file(root / "c.pth")
    cfg = config(root)
    cfg.dump(root / "config.py")
    images = [str(root / f"data/images/{town}/0.png") for town in ("bonn", "ulm")]
    plain, calibrated = (rein.load_segmentor(root / name, config=root / "config.py",
                                             precision="fp32").predict(images)
                         for name in ("m.pth", "c.pth"))
    assert plain[0].shift is None and all(one.shift > 0 for one in calibrated)
    assert calibrated[0].shift != calibrated[1].shift
    assert not np.allclose(plain[0].confidence, calibrated[0].confidence)
    content["meta"]["calibration"]["temperature"] = 0.0
    ckpt.save_file(content, root / "damaged.pth")
    with pytest.raises(UserError, match="damaged.pth: damaged, because its calibration"):
        rein.load_segmentor(root / "damaged.pth", config=root / "config.py")


def test_an_images_features_do_not_depend_on_its_batch(world):
    root, _ = world
    model = build(config(root).model).eval()
    model.keep_features = True
    images = torch.randint(0, 255, (2, 3, 70, 90), dtype=torch.uint8)

    def features(batch):
        from mmseg.structures import SegDataSample

        samples = [SegDataSample(metainfo=dict(ori_shape=(70, 90), img_shape=(70, 90)))
                   for _ in batch]
        with torch.no_grad():
            return [one.features for one in model.test_step(
                dict(inputs=list(batch), data_samples=samples))]

    together, alone = features(images), [features(images[i:i + 1])[0] for i in range(2)]
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert not np.allclose(*together)


def test_split_keeps_the_calibration_and_raw_weights_drop_it(world):
    root, done = world
    split_file(root / "c.pth", root / "backbone.pth", root / "parts.pth", overwrite=True)
    meta = ckpt.load_file(root / "parts.pth")["meta"]
    assert meta["calibration"]["temperature"] == done.after.temperature
    content = dict(ckpt.load_file(root / "c.pth"), ema_state_dict={})
    assert "calibration" not in ckpt.with_raw_weights(content, "c.pth")["meta"]


def test_without_held_out_images_training_images_are_split_with_a_warning(world, monkeypatch):
    root, _ = world
    cfg, said = config(root), []
    cfg.pop("calibration_dataloader")
    cfg.train_dataloader.dataset.data_prefix = dict(img_path="images", seg_map_path="labels")
    monkeypatch.setattr(
        "rein.engine.testing.calibrate.print_log", lambda text, *_: said.append(text))
    found = source_images(cfg)
    assert (len(found.training), len(found.held_out)) == (4, 2)
    assert "has no calibration_dataloader" in said[0] and "training images" in found.data
    names = [{one[i]["data_samples"].img_path for i in range(len(one))}
             for one in (found.training, found.held_out)]
    assert not names[0] & names[1]
    assert len(found.held_out[0]["data_samples"].gt_sem_seg.shape) == 2  # labelled, not augmented


def test_calibrating_on_a_tested_folder_is_warned_of(world, monkeypatch):
    root, _ = world
    cfg, said = config(root), []
    cfg.test_dataloader = cfg.calibration_dataloader
    monkeypatch.setattr(
        "rein.engine.testing.calibrate.print_log", lambda text, *_: said.append(text))
    source_images(cfg)
    assert "images/ulm is tested as well" in said[0]


def test_mistakes_get_one_line(world):
    root, _ = world
    cfg = config(root)
    with pytest.raises(UserError, match="runs in one process"):
        calibrate_checkpoint(cfg, str(root / "m.pth"), EvaluationOptions(launcher="pytorch"))
    for name, message in (("train", "has no train_dataloader"), ("test", "no test_dataloader, so")):
        cfg = config(root)
        cfg[f"{name}_dataloader"] = None
        with pytest.raises(UserError, match=message):
            calibrate_checkpoint(cfg, str(root / "m.pth"))
    cfg = config(root)
    cfg.calibration_dataloader.dataset.data_prefix.img_path = "images/nowhere"
    with pytest.raises(UserError, match="nowhere"):
        calibrate_checkpoint(cfg, str(root / "m.pth"))
