"""Several tests share one model, and none replaces another's results."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from rein.engine.config import load_config
from rein.engine.testing import evaluate
from rein.engine.testing.options import EvaluationOptions
from rein.engine.testing.tester import Tester
from rein.errors import UserError
from rein.evaluation.results import RunRecord

MAIN = "configs/dinov2/rein_dinov2_mask2former_512x512_bs1x4.py"


class Runner(SimpleNamespace):
    """Records its calls."""

    def prepare_test(self, cfg):
        self.asked.append(cfg.test_evaluator["protocol"])

    def register_hook(self, hook):
        self.hooks.append(hook)

    def test(self):
        self.pictures.append([Path(hook.out_dir) for hook in self.hooks])
        return {"mIoU": 50.0}


@pytest.fixture
def runner(monkeypatch):
    """A runner whose metric has no results, as in all processes but the main one."""
    runner = Runner(hooks=[], asked=[], pictures=[], test_evaluator=SimpleNamespace(metrics=[]))
    monkeypatch.setattr(evaluate, "load_tester", lambda *_: Tester(runner, None, {}))
    monkeypatch.setattr(
        evaluate, "describe_weights", lambda *_: RunRecord("a.pth", "12" * 32, "main"))
    return runner


def test_every_protocol_is_tested_with_its_own_pictures(runner, tmp_path):
    options = EvaluationOptions(
        protocols=["rein", "full"], work_dir=str(tmp_path), show_dir="show")
    tested = evaluate.evaluate_checkpoint(load_config(MAIN), "a.pth", options)
    assert runner.asked == ["rein", "full"] and runner.hooks == []
    assert runner.pictures == [[Path("show/rein")], [Path("show/full")]]
    assert [one.folder for one in tested] == [tmp_path / "rein", tmp_path / "full"]
    assert [one.metrics for one in tested] == [{"mIoU": 50.0}] * 2


def test_existing_results_stop_all_tests_before_the_first(runner, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/results.json").write_text("{}")
    options = EvaluationOptions(protocols=["rein", "full"], work_dir=str(tmp_path))
    with pytest.raises(UserError, match="--force"):
        evaluate.evaluate_checkpoint(load_config(MAIN), "a.pth", options)
    assert runner.asked == []
