"""Several tests share one model, and none replaces another's results."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from tiny_testing import TOWNS, run_test, scenes_config, write_scenes, write_weights

from rein.engine.configs.reading import load_config
from rein.engine.testing import evaluate
from rein.engine.testing.options import EvaluationOptions
from rein.engine.testing.tester import Tester
from rein.errors import UserError
from rein.evaluation.result_files import load_run
from rein.evaluation.results import RunRecord
from rein.folders import only_writer

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


def test_every_protocol_is_tested_with_its_own_pictures(runner, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = EvaluationOptions(
        protocols=["rein", "full"], work_dir=str(tmp_path), show_dir="show")
    tested = evaluate.evaluate_checkpoint(load_config(MAIN), "a.pth", options)
    assert runner.asked == ["rein", "full"] and runner.hooks == []
    assert runner.pictures == [[Path("show/rein")], [Path("show/full")]]
    assert [one.folder for one in tested] == [tmp_path / "rein", tmp_path / "full"]
    assert [one.metrics for one in tested] == [{"mIoU": 50.0}] * 2


def test_a_config_that_averages_weights_can_be_tested(tmp_path):
    """The average is in the checkpoint; its hook finds no training."""
    write_scenes(tmp_path / "data", images=1)
    write_weights(tmp_path / "m.pth")
    cfg = scenes_config(tmp_path / "data")
    cfg.custom_hooks = [dict(type="EMAHook", momentum=0.1)]
    run_test(tmp_path, config=cfg)
    assert load_run(tmp_path / "out").record.model


def test_a_test_that_cannot_start_leaves_no_folder(tmp_path, monkeypatch):
    (tmp_path / "there").mkdir()
    options = EvaluationOptions(
        protocols=["rein"], work_dir=str(tmp_path / "runs/a"), show_dir=str(tmp_path / "there/b"))
    with pytest.raises(UserError, match="no such file"):
        evaluate.evaluate_checkpoint(load_config(MAIN), "nowhere.pth", options)
    (tmp_path / "file").touch()
    options = EvaluationOptions(work_dir=str(tmp_path / "runs/a"), out=str(tmp_path / "file"))
    with pytest.raises(UserError, match="file: is a file, but a folder is needed"):
        evaluate.evaluate_checkpoint(load_config(MAIN), "nowhere.pth", options)
    assert {*tmp_path.rglob("*")} == {tmp_path / "there", tmp_path / "file"}


def test_existing_results_stop_all_tests_before_the_first(runner, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/results.json").write_text("{}")
    options = EvaluationOptions(protocols=["rein", "full"], work_dir=str(tmp_path))
    with pytest.raises(UserError, match="--force"):
        evaluate.evaluate_checkpoint(load_config(MAIN), "a.pth", options)
    assert runner.asked == []


@pytest.fixture(scope="module")
def tested(tmp_path_factory):
    """A tested folder: two towns with images of the same names."""
    root = tmp_path_factory.mktemp("tested")
    write_scenes(root / "data", images=1)
    write_weights(root / "m.pth")
    one, = run_test(root)
    assert one.written == root / "out/results.html" and one.written.is_file()
    return root


def test_images_of_one_name_keep_their_predictions_pictures_and_results(tested):
    for folder in ("out/predictions/citys", "shown/citys"):
        found = sorted((tested / folder).rglob("*.png"))
        assert [path.relative_to(tested / folder).as_posix() for path in found] == [
            f"{town}/0.png" for town in TOWNS]
    run = load_run(tested / "out")
    assert {*run.by_path("citys")} == {f"images/{town}/0.png" for town in TOWNS}


def test_a_test_of_other_images_replaces_nothing_unasked(tested):
    before = (tested / "out/results.npz").read_bytes()
    with pytest.raises(UserError, match="2 images of Cityscapes, this one has 1; 1 are the same"):
        run_test(tested, "ulm")
    assert (tested / "out/results.npz").read_bytes() == before


@pytest.mark.parametrize("folder", ["out", "shown"])
def test_a_second_test_in_one_folder_is_refused(tested, folder):
    with only_writer(tested / folder, "test"), \
            pytest.raises(UserError, match=f"{folder}: another test is writing to this folder"):
        run_test(tested)


def test_predictions_without_a_report_are_named(tested, tmp_path):
    config = scenes_config(tested / "data")
    config.test_evaluator.update(format_only=True, output_dir=str(tmp_path / "p"))
    config.test_dataloader.dataset.data_prefix.pop("seg_map_path")
    config.test_dataloader.dataset.pipeline.pop(2)
    one, = run_test(tested, config=config, out=None, show_dir=None)
    assert one.metrics == {} and one.written == tmp_path / "p"
    assert not (tested / "log/results.html").exists()
    assert len([*(tmp_path / "p/citys").rglob("*.png")]) == 2
