"""The README's lines of Python run; its commands run in tests/tools/test_commands.py."""

import cv2
import numpy as np
import torch
from conftest import tiny_model_config
from doc_blocks import ROOT, blocks
from mmengine.config import Config
from PIL import Image

from rein import checkpoint as ckpt
from rein.datasets.label_maps import PALETTE


def test_lines_of_python_segment_an_image(tmp_path, tiny_model, monkeypatch):
    torch.nn.init.normal_(tiny_model.decode_head.cls_embed.weight)  # predicts several classes
    meta = dict(cfg=Config(dict(model=tiny_model_config())).pretty_text)
    ckpt.save_file(
        dict(meta=meta, state_dict=tiny_model.state_dict()),
        tmp_path / "checkpoints/dinov2_segmentor.pth")
    noise = np.random.default_rng(0).integers(0, 256, (9, 13, 3)).astype(np.uint8)
    Image.fromarray(cv2.resize(noise, (100, 70))).save(tmp_path / "street.jpg")
    monkeypatch.chdir(tmp_path)
    code, = blocks(ROOT / "README.md", "python")
    assert code.count("\n") == 5
    names = {}
    exec(code, names)
    picture = np.array(Image.open("street_classes.png"))
    assert picture.shape == (70, 100, 3) and len(np.unique(names["seg_map"])) > 1
    assert (picture == np.uint8(PALETTE)[names["seg_map"]]).all()
