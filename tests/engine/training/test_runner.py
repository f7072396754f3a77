"""The runner loads strictly and safely, and passes sampling weights to the sampler."""

import itertools

import pytest
from mmengine.registry import DefaultScope
from tiny_training import training_config

from rein import checkpoint as ckpt
from rein.engine.training.run import train
from rein.engine.training.runner import ReinRunner
from rein.errors import UserError


@pytest.mark.parametrize("change, message", [
    (lambda c: c.pop("optimizer"), "cannot resume from it, because it has no optimizer"),
    (lambda c: c["state_dict"].pop("decode_head.cls_embed.bias"), "1 missing: decode_head.cls_"),
])
def test_wrong_checkpoints_are_rejected(data, finished, tmp_path, change, message):
    content = ckpt.load_file(finished / "iter_2.pth")
    change(content)
    path = ckpt.save_file(content, tmp_path / "wrong.pth")
    with pytest.raises(UserError, match=message):
        train(training_config(data), "run", str(tmp_path / "work"), resume=str(path))


def test_code_in_a_checkpoints_meta_is_not_run(data, finished, tmp_path):
    """Resuming in plain mmengine would execute `meta.config` as Python."""
    content = ckpt.load_file(finished / "iter_4.pth")
    content["meta"]["config"] = f"open({str(tmp_path / 'executed')!r}, 'w')"
    path = ckpt.save_file(content, tmp_path / "bad.pth")
    train(training_config(data), "run", str(tmp_path / "work"), resume=str(path))
    assert not (tmp_path / "executed").exists()


def test_weights_in_a_config_reach_the_loader(data):
    loader = training_config(data).train_dataloader
    part = loader.dataset
    loader.dataset = dict(type="ConcatDataset", datasets=[part, dict(part, domain="other")])
    loader.sampler.weights = [1, 0]
    with DefaultScope.overwrite_default_scope("mmseg"):
        loader = ReinRunner.build_dataloader(loader, seed=42)
    batches = itertools.islice(loader, 4)
    assert {one.domain for batch in batches for one in batch["data_samples"]} == {"gta"}


def test_runs_that_start_in_one_second_have_their_own_logs(data, tmp_path, monkeypatch):
    monkeypatch.setattr("mmengine.runner.runner.time.strftime", lambda *_: "20260102_030405")
    for name in ("one", "two"):
        train(training_config(data), "run", str(tmp_path / name))
        log, = (tmp_path / name).glob("*/*.log")
        assert str(tmp_path / name) in log.read_text()
