"""A run with averaged weights (EMA) trains, resumes exactly, and tests either weights."""

import shutil

import pytest
import torch
from conftest import build, tiny_model_config
from mmengine.config import Config
from tiny_training import training_config
from tiny_weights import outputs

from rein import checkpoint as ckpt
from rein.engine.testing.options import EvaluationOptions
from rein.engine.testing.tester import load_tester
from rein.engine.training.averaging import TrainedEMAHook
from rein.engine.training.run import train
from rein.engine.weights.files import merge_files
from rein.errors import UserError


def averaging_config(data):
    cfg = training_config(data)
    cfg.custom_hooks = [dict(type="EMAHook", momentum=0.3)]
    cfg.default_hooks.checkpoint.interval = 1
    return cfg


@pytest.fixture(scope="module")
def averaged(data, tmp_path_factory):
    work_dir = tmp_path_factory.mktemp("averaged")
    train(averaging_config(data), "run", str(work_dir))
    return work_dir


def same(a, b):
    assert a.keys() == b.keys()
    return all(torch.equal(a[name], b[name]) for name in a)


def test_a_checkpoint_holds_averaged_and_raw_weights_of_the_trained_parts(averaged, finished):
    content = ckpt.load_file(averaged / "iter_4.pth")
    plain = ckpt.load_file(finished / "iter_4.pth")["state_dict"]
    raw = ckpt.with_raw_weights(content, "iter_4.pth")["state_dict"]
    assert same(raw, plain)  # averaging leaves training alone
    assert content["state_dict"].keys() == plain.keys() and not same(content["state_dict"], plain)
    beside = {name.removeprefix("module.") for name in content["ema_state_dict"]} - raw.keys()
    assert beside == {"steps"}


def test_the_average_is_that_of_the_formula(averaged):
    name = "decode_head.cls_embed.bias"
    for before, after in ((1, 2), (2, 3), (3, 4)):
        old, new = (ckpt.load_file(averaged / f"iter_{i}.pth") for i in (before, after))
        expected = torch.lerp(
            old["state_dict"][name], new["ema_state_dict"][f"module.{name}"], 0.3)
        torch.testing.assert_close(new["state_dict"][name], expected)


def test_accumulation_averages_once_a_step_and_resumes_exactly(data, tmp_path):
    def config():
        cfg = averaging_config(data)
        cfg.train_cfg.max_iters = 7
        cfg.optim_wrapper.accumulative_counts = 3
        return cfg

    whole, part = tmp_path / "whole", tmp_path / "part"
    train(config(), "run", str(whole))
    contents = {i: ckpt.load_file(whole / f"iter_{i}.pth") for i in range(1, 8)}
    steps = [int(content["ema_state_dict"]["steps"]) for content in contents.values()]
    assert steps == [0, 0, 1, 1, 1, 2, 3]  # the last step is that of the remainder
    name = "decode_head.cls_embed.bias"
    assert same(contents[3]["state_dict"], contents[5]["state_dict"])
    for before, after in ((3, 6), (6, 7)):
        expected = torch.lerp(contents[before]["state_dict"][name],
                              contents[after]["ema_state_dict"][f"module.{name}"], 0.3)
        torch.testing.assert_close(contents[after]["state_dict"][name], expected)
    part.mkdir()
    shutil.copy(whole / "iter_5.pth", part)
    train(config(), "run", str(part), resume="auto")
    resumed = ckpt.load_file(part / "iter_7.pth")
    for key in ("state_dict", "ema_state_dict"):
        assert same(resumed[key], contents[7][key])


def test_a_resumed_run_validates_and_saves_the_same_averages(
        averaged, data, tmp_path, monkeypatch):
    """The frozen weights of the averaged copy are those of the pretrained file."""
    seen = []
    after_train = TrainedEMAHook.after_train

    def validate(hook, runner):
        """Validate and test."""
        for kind in ("val", "test"):
            getattr(hook, f"before_{kind}_epoch")(runner)
            seen.append({name: value.clone() for name, value in runner.model.state_dict().items()})
            getattr(hook, f"after_{kind}_epoch")(runner)
        after_train(hook, runner)

    monkeypatch.setattr(TrainedEMAHook, "after_train", validate)
    shutil.copy(averaged / "iter_2.pth", tmp_path)
    train(averaging_config(data), "run", str(tmp_path), resume="auto")
    resumed, whole = (ckpt.load_file(folder / "iter_4.pth") for folder in (tmp_path, averaged))
    for key in ("state_dict", "ema_state_dict"):
        assert same(resumed[key], whole[key])
    expected = dict(whole["state_dict"])
    frozen = ckpt.load_file(data / "backbone.pth")
    expected |= {f"backbone.{name}": value for name, value in frozen.items()}
    for found in seen:
        assert same(found, {name: expected[name] for name in found})


def test_tests_and_merged_files_use_the_average_or_the_raw_weights(averaged, data, tmp_path):
    path, backbone = averaged / "iter_4.pth", data / "backbone.pth"
    content = ckpt.load_file(path)
    results = []
    for raw in (False, True):
        weights = (ckpt.with_raw_weights(content, path) if raw else content)["state_dict"]
        cfg = averaging_config(data)
        for key in ("train_dataloader", "train_cfg", "optim_wrapper", "param_scheduler"):
            cfg.pop(key)
        cfg.test_dataloader = cfg.test_evaluator = cfg.test_cfg = None
        cfg.work_dir = str(tmp_path / f"test_{raw}")
        options = EvaluationOptions(raw_weights=raw)
        tester = load_tester(cfg, str(path), options)
        assert same({n: tester.model.state_dict()[n] for n in weights}, weights)
        merged = merge_files(
            backbone, path, tmp_path / f"merged_{raw}.pth", Config(), raw_weights=raw)
        model = build(tiny_model_config())
        ckpt.load_strictly(model, ckpt.load_file(merged)["state_dict"], str(merged))
        results.append(outputs(model))
        assert torch.equal(results[-1], outputs(tester.model))
    assert not torch.equal(*results)


def test_raw_weights_are_refused_where_nothing_is_averaged(finished):
    with pytest.raises(UserError, match="iter_4.pth: its weights are not averaged. Remove --raw"):
        ckpt.with_raw_weights(ckpt.load_file(finished / "iter_4.pth"), finished / "iter_4.pth")
