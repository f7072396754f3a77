"""A folder with images, weights and a config of the tiny model, to train and test on."""

from pathlib import Path

import numpy as np
import torch
from conftest import build, tiny_model_config
from label_files import write_pairs
from mmengine.config import Config
from mmengine.hooks import Hook
from tiny_head import points_by_number
from tiny_training import training_config

from rein import checkpoint as ckpt
from rein.engine.testing.evaluate import evaluate_checkpoint
from rein.engine.testing.options import EvaluationOptions
from rein.engine.training.run import train
from rein.engine.training.runner import ReinRunner
from rein.models.freezing import trained_state_dict

SUFFIX = "_labelTrainIds.png"


def block_pairs(count: int, seed: int = 0, classes: int = 19) -> list:
    """Draw images of coloured blocks and their labels."""
    rng = np.random.default_rng(seed)
    labels = [np.kron(rng.integers(0, classes, (4, 5)), np.ones((24, 24))).astype(np.uint8)
              for _ in range(count)]
    return [(np.stack([label * 13] * 3, -1), label) for label in labels]


def write_project(root: Path, images: int = 5) -> Config:
    """Write images, `backbone.pth`, `checkpoint.pth` and `config.py` to a folder.

    Returns:
        The config: it trains and tests on all images, one at a time, without loader workers.
    """
    root.mkdir(parents=True, exist_ok=True)
    write_pairs(root, block_pairs(images), SUFFIX)
    torch.manual_seed(0)
    model = build(tiny_model_config())
    torch.nn.init.normal_(model.decode_head.cls_embed.weight)  # predict several classes
    ckpt.save_file(ckpt.split(model.state_dict()).backbone, root / "backbone.pth")
    ckpt.save_file(dict(state_dict=trained_state_dict(model)), root / "checkpoint.pth")
    cfg = training_config(root)
    cfg.train_dataloader.batch_size = 1
    pipeline = [dict(type="LoadImageFromFile"), dict(type="LoadAnnotations"),
                dict(type="PackSegInputs")]
    dataset = dict(
        type="UrbanSceneDataset", domain="blocks", data_root=str(root), pipeline=pipeline,
        data_prefix=dict(img_path="images", seg_map_path="labels"), img_suffix=".png",
        seg_map_suffix=SUFFIX)
    cfg.test_dataloader = dict(
        batch_size=1, num_workers=0, dataset=dataset,
        sampler=dict(type="DefaultSampler", shuffle=False))
    cfg.test_evaluator = dict(type="DGIoUMetric")
    cfg.dump(root / "config.py")
    return cfg


class Losses(Hook):
    """Keep the losses of this process."""

    def __init__(self):
        self.values = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.values.append(float(outputs["loss"]))


def losses_of_training(cfg: Config, work_dir, launcher="none", **options) -> list[float]:
    """Train with the same loss points for every image; return this process's losses."""
    losses, rand, hooks = Losses(), torch.rand, ReinRunner.register_hooks
    torch.rand = points_by_number
    ReinRunner.register_hooks = lambda self, *args: (
        hooks(self, *args), self.register_hook(losses))
    try:
        train(cfg, "run", str(work_dir), launcher=launcher, **options)
    finally:
        torch.rand, ReinRunner.register_hooks = rand, hooks
    return losses.values


def evaluate(cfg, root, out, launcher="none") -> dict:
    """Test the project's checkpoint; return the measured values."""
    options = EvaluationOptions(
        out=str(root / out), work_dir=str(root / "work" / out), launcher=launcher,
        show_dir=str(root / out / "shown"))
    (metrics, *_), = evaluate_checkpoint(cfg, str(root / "checkpoint.pth"), options)
    return metrics
