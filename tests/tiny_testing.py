"""A test of the tiny model on four images in two folders, with every kind of output."""

import re
from pathlib import Path

import numpy as np
import torch
from conftest import build, tiny_model_config
from mmengine.config import Config
from PIL import Image

from rein import checkpoint as ckpt
from rein.engine.testing.evaluate import Tested, evaluate_checkpoint
from rein.engine.testing.options import EvaluationOptions

TOWNS = ("bonn", "ulm")
PIPELINE = [
    dict(type="LoadImageFromFile"), dict(type="Resize", scale=(64, 32), keep_ratio=True),
    dict(type="LoadAnnotations"), dict(type="PackSegInputs")]
RULES = dict(rein=dict(citys=dict(scale=(64, 32))), full=dict(citys=dict(scale=(96, 48))))


def write_scenes(root: Path, towns=TOWNS, images=2) -> None:
    """Write images of coloured blocks and their labels; the towns use the same names."""
    rng = np.random.default_rng(0)
    for town in towns:
        for i in range(images):
            label = np.kron(rng.integers(0, 19, (3, 6)), np.ones((16, 16))).astype(np.uint8)
            for folder, pixels in (("images", np.stack([label * 13] * 3, -1)), ("labels", label)):
                path = root / folder / town / f"{i}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(path)


def write_weights(path: Path) -> None:
    """Write a full segmentor with seeded weights."""
    torch.manual_seed(0)
    model = build(tiny_model_config())
    torch.nn.init.normal_(model.decode_head.cls_embed.weight)  # predicts several classes
    ckpt.save_file(dict(state_dict=model.state_dict()), path)


def scenes_config(root: Path, towns: str = "") -> Config:
    """Configure a test on the scenes of a folder, or of one of its towns."""
    dataset = dict(
        type="UrbanSceneDataset", domain="citys", data_root=str(root), img_suffix=".png",
        seg_map_suffix=".png", pipeline=PIPELINE,
        data_prefix=dict(img_path=f"images/{towns}", seg_map_path=f"labels/{towns}"))
    return Config(dict(
        default_scope="mmseg", model=tiny_model_config(), test_cfg=dict(type="TestLoop"),
        test_dataloader=dict(batch_size=1, num_workers=0, dataset=dataset, sampler=dict(
            type="DefaultSampler", shuffle=False)),
        test_evaluator=dict(type="DGIoUMetric", examples=1), protocols=RULES, launcher="none",
        log_processor=dict(by_epoch=False)))


def run_test(
    root: Path, towns: str = "", config: Config | None = None, checkpoint: str = "m.pth", **options,
) -> list[Tested]:
    """Test root/m.pth on root/data; reports go to root/out, pictures to root/shown."""
    options = dict(work_dir=str(root / "log"), out=str(root / "out"),
                   show_dir=str(root / "shown")) | options
    return evaluate_checkpoint(config or scenes_config(root / "data", towns),
                               str(root / checkpoint), EvaluationOptions(**options))


def outputs(root: Path) -> dict[str, bytes]:
    """Return the content of every file that tests wrote, without their dates."""
    return {
        path.relative_to(root).as_posix(): re.sub(
            rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d", b"", path.read_bytes())
        for name in ("out", "shown") for path in sorted((root / name).rglob("*"))
        if path.is_file()}
