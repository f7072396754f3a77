"""Predict a frame with ONNX Runtime, in float32 and int8, against this project's PyTorch."""

import tempfile
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config

from benchmarks.paired import Row, compare
from benchmarks.stock import build_model
from rein.api import Segmentor
from rein.datasets.label_maps import CLASSES, PALETTE
from rein.engine.configs.reading import load_config
from rein.export.exporting import export_segmentor
from rein.export.onnx_predictor import load_onnx

CONFIG = "configs/toy/rein_toy_vit_mask2former_256x256.py"


def run(repeats: int) -> list[Row]:
    """Compare predictions of a 512x256 frame in 3 windows, with the toy's ViT-S and Rein."""
    segmentor = build_segmentor(CONFIG)
    frame = np.random.default_rng(0).integers(0, 256, (256, 512, 3), np.uint8)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for precision in ("fp32", "int8"):
            file = export_segmentor(
                segmentor, Path(folder) / f"{precision}.onnx", precision=precision)
            runtime = load_onnx(file.path, threads=torch.get_num_threads())
            rows.append(compare(
                f"frame of 512x256, ONNX Runtime in {precision} against PyTorch in float32",
                lambda runtime=runtime: runtime.predict(frame), lambda: segmentor.predict(frame),
                repeats))
    return rows


def build_segmentor(config: str) -> Segmentor:
    """Build a config's segmentor with random weights."""
    cfg: Config = load_config(config)
    cfg.model.backbone.init_cfg = None
    torch.manual_seed(0)
    model = build_model(cfg.model).eval()
    model.cfg, model.keep_logits = cfg, False
    model.dataset_meta = dict(classes=CLASSES, palette=PALETTE)
    return Segmentor(model)
