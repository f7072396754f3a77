"""A training run of the tiny model, shared by several tests."""

import itertools
import json

import numpy as np
import torch
from conftest import build, crop_small, tiny_model_config
from label_files import write_pairs
from mmengine.config import Config

from rein import checkpoint as ckpt

RUNS = itertools.count()


def write_training_data(root):
    """Write six labelled images of coloured blocks, and frozen weights for the tiny model."""
    rng = np.random.default_rng(0)
    pairs = []
    for _ in range(6):
        label = np.kron(rng.integers(0, 19, (4, 5)), np.ones((24, 24))).astype(np.uint8)
        label[:8] = 255
        pairs.append((np.stack([label * 13] * 3, -1), label))
    write_pairs(root, pairs, "_labelTrainIds.png")
    backbone = ckpt.split(build(tiny_model_config()).state_dict()).backbone
    ckpt.save_file(backbone, root / "backbone.pth")
    return root


def training_config(data, max_iters=4, workers=0):
    """Configure a short training run on the `data` of engine/conftest.py."""
    cfg = Config.fromfile("configs/dinov2/rein_dinov2_mask2former_512x512_bs1x4.py")
    cfg.model = tiny_model_config()
    cfg.model.backbone.init_cfg = dict(type="Pretrained", checkpoint=str(data / "backbone.pth"))
    loader = cfg.train_dataloader
    loader.update(batch_size=2, num_workers=workers, pin_memory=False)
    loader.dataset.data_root = str(data)
    crop_small(loader)
    for key in ("val_dataloader", "val_cfg", "val_evaluator"):
        cfg.pop(key)
    cfg.train_cfg = dict(type="IterBasedTrainLoop", max_iters=max_iters)
    cfg.default_hooks.logger.interval = 1
    cfg.default_hooks.checkpoint.update(interval=2, max_keep_ckpts=-1)
    cfg.log_processor = dict(by_epoch=False, window_size=1)
    cfg.visualizer.name = f"run {next(RUNS)}"  # mmengine keeps one visualizer per name
    return cfg


def losses(work_dir):
    """Return the losses of the last run in a work dir, by iteration."""
    scalars = sorted(work_dir.glob("*/vis_data/scalars.json"))[-1].read_text().splitlines()
    return {line["step"]: line["loss"] for line in map(json.loads, scalars) if "loss" in line}


def check_equal(a, b):
    """Compare nested containers of tensors and plain values, bit by bit."""
    assert type(a) is type(b)
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b)
    elif isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            check_equal(a[key], b[key])
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for one, other in zip(a, b, strict=True):
            check_equal(one, other)
    else:
        assert a == b
