"""A plan has one config per protocol and leaves the user's config unchanged."""

import copy

import pytest

from rein.engine.configs.reading import load_config
from rein.engine.testing.options import EvaluationOptions
from rein.engine.testing.plan import plan_submission, plan_tests
from rein.engine.testing.protocols import datasets_under_test
from rein.errors import UserError

MAIN = "configs/dinov2/rein_dinov2_mask2former_512x512_bs1x4.py"
ACDC = "configs/dinov2_citys2acdc/rein_dinov2_mask2former_512x512_bs1x4.py"


def test_each_protocol_gets_its_folder_its_sizes_and_its_predictions():
    cfg = load_config(MAIN)
    before = copy.deepcopy(cfg._cfg_dict)
    tests = plan_tests(cfg, "a/b.pth", EvaluationOptions(
        protocols=["rein", "full", "rein"], tta=True, out="out"))
    assert [test.name for test in tests] == ["rein_tta", "full_tta"]
    assert [test.conditions["sizes"]["citys"] for test in tests] == ["1024x512", "2048x1024"]
    for test in tests:
        assert test.cfg.test_evaluator["output_dir"] == f"out/{test.name}/predictions"
        assert "mean over scales" in test.conditions["inference"]
        assert test.cfg.model.type == "SegTTAModel"
    assert cfg._cfg_dict == before


def test_without_options_the_config_is_tested_unchanged():
    (test,) = plan_tests(load_config(MAIN), "a/b.pth", EvaluationOptions())
    assert test.name == "" and test.conditions["protocol"] == "rein"
    assert test.cfg.work_dir == "work_dirs/b" and "output_dir" not in test.cfg.test_evaluator
    assert "train_dataloader" not in test.cfg and not test.cfg.resume


def test_a_protocol_names_its_folder_whatever_the_metric():
    cfg = load_config(MAIN)
    cfg.test_evaluator = dict(type="IoUMetric")
    (test,) = plan_tests(cfg, "b.pth", EvaluationOptions(protocols=["full"]))
    assert test.name == "full" and test.conditions["protocol"] == ""


def test_a_submission_keeps_the_servers_domains_and_its_own_folder():
    options = EvaluationOptions(work_dir="w", protocols=["full"])
    cfg = plan_submission(load_config(ACDC), "b.pth", "acdc", options)
    assert cfg.test_evaluator["output_dir"] == "w/acdc_predictions"
    assert len(datasets_under_test(cfg)) == 4
    with pytest.raises(UserError, match="needs a config that tests on acdc_night"):
        plan_submission(load_config(MAIN), "b.pth", "acdc", options)


@pytest.mark.parametrize("mistake, message", {
    "pop('test_evaluator')": "rein_dinov2.*: sets no test_evaluator, so there is nothing to test",
    "test_dataloader=None": "sets no test_dataloader",
    "model.test_cfg.pop('stride')": "model.test_cfg: slides, but sets no stride.*--mode whole",
}.items())
def test_a_config_without_settings_of_testing_is_refused(mistake, message):
    cfg = load_config(MAIN)
    exec(f"cfg.{mistake}", dict(cfg=cfg))
    with pytest.raises(UserError, match=message):
        plan_tests(cfg, "b.pth", EvaluationOptions())


@pytest.mark.parametrize("mode, inference", [(None, "whole"), ("slide", "slide, crop 512x512")])
def test_a_model_without_test_cfg_is_tested_whole_by_default(mode, inference):
    cfg = load_config(MAIN)
    cfg.model.test_cfg = None
    plan, = plan_tests(cfg, "b.pth", EvaluationOptions(mode=mode))
    assert plan.conditions["inference"].startswith(inference)
