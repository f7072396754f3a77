"""A run saves trained weights, config and backbone fingerprint, and logs parameter counts."""

import pytest
from mmengine.config import Config
from tiny_training import training_config

from rein import checkpoint as ckpt
from rein.engine.training.run import train
from rein.errors import UserError


def test_a_checkpoint_holds_the_trained_weights_and_the_config(finished):
    content = ckpt.load_file(finished / "iter_4.pth")
    assert all(name.startswith(("backbone.reins.", "decode_head.")) for name in
               content["state_dict"])
    assert "ReinsDinoVisionTransformer" in content["meta"]["cfg"]
    assert not list(finished.glob(".*"))


def test_a_checkpoint_records_its_backbone(data, finished, tmp_path):
    frozen = ckpt.load_file(data / "backbone.pth")
    meta = ckpt.load_file(finished / "iter_4.pth")["meta"]
    assert meta[ckpt.FINGERPRINT] == ckpt.fingerprint(frozen)
    other = {**frozen, "norm.bias": frozen["norm.bias"] + 1}
    ckpt.save_file(other, tmp_path / "other.pth")
    cfg = training_config(data)
    cfg.model.backbone.init_cfg.checkpoint = str(tmp_path / "other.pth")
    again = cfg.to_dict()
    resumed = str(finished / "iter_2.pth")
    with pytest.raises(UserError, match="trained with another frozen backbone.*--allow-other"):
        train(cfg, "run", str(tmp_path / "work"), resume=resumed)
    work_dir = tmp_path / "allowed"
    train(Config(again), "run", str(work_dir), resume=resumed, allow_other_backbone=True)
    (log,) = work_dir.glob("*/*.log")
    assert "WARNING" in log.read_text() and "--allow-other-backbone is set" in log.read_text()


def test_the_trainable_share_is_printed_at_the_start(finished):
    (log,) = finished.glob("*/*.log")
    assert "trainable: " in log.read_text() and " %)" in log.read_text()
