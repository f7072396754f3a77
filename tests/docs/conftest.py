"""Files that the examples of the README and the pages name."""

import cv2
import numpy as np
import pytest
import torch
from conftest import build, tiny_model_config
from mmengine.config import Config
from PIL import Image

from rein import checkpoint as ckpt


@pytest.fixture
def street(tmp_path, monkeypatch):
    """A folder with a checkpoint and an image, the working directory."""
    torch.manual_seed(0)
    network = build(tiny_model_config())
    torch.nn.init.normal_(network.decode_head.cls_embed.weight)  # predicts several classes
    meta = dict(cfg=Config(dict(model=tiny_model_config())).pretty_text)
    ckpt.save_file(dict(meta=meta, state_dict=network.state_dict()),
                   tmp_path / "checkpoints/dinov2_segmentor.pth")
    noise = np.random.default_rng(0).integers(0, 256, (9, 13, 3)).astype(np.uint8)
    Image.fromarray(cv2.resize(noise, (100, 70))).save(tmp_path / "street.jpg")
    monkeypatch.chdir(tmp_path)
    return tmp_path
