"""Fixtures shared by the engine tests: tiny data, a finished training run, weight files."""

import pytest
import torch
from conftest import build, tiny_model_config
from mmengine.config import Config
from tiny_training import training_config, write_training_data

from rein import checkpoint as ckpt
from rein.engine.training.run import train
from rein.engine.weights.files import convert_file
from rein.models.freezing import trained_state_dict


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """Six labelled images of coloured blocks, and frozen weights for the tiny model."""
    return write_training_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session")
def finished(data, tmp_path_factory):
    """Work dir of a four-iteration run with checkpoints after two and four."""
    work_dir = tmp_path_factory.mktemp("finished")
    last = train(training_config(data, workers=1), "run", str(work_dir))
    assert last.endswith("iter_4.pth")
    return work_dir


@pytest.fixture
def files(tmp_path, tiny_model):
    """A downloaded DINOv2 file (patch 14) and a training checkpoint of the tiny model.

    The file and the model both have a 4x4 position grid; only their patch sizes differ.
    """
    cfg = tiny_model_config().backbone
    cfg.update(type="DinoVisionTransformer", img_size=56, patch_size=14)
    cfg.pop("reins_config")
    backbone = {**build(cfg).state_dict(), "mask_token": torch.zeros(1, 32)}
    text = Config(dict(model=tiny_model_config())).pretty_text
    trained = dict(meta=dict(cfg=text, iter=7), state_dict=trained_state_dict(tiny_model))
    ckpt.save_file(backbone, tmp_path / "original.pth")
    ckpt.save_file(trained, tmp_path / "adapter.pth")
    convert_file(tmp_path / "original.pth", tmp_path / "converted.pth", (64, 64))
    return tmp_path
