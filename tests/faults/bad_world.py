"""The intact files that the bad-input harness damages: data, weights, config, zip, results."""

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import torch
from conftest import build, crop_small, tiny_model_config
from label_files import MAPILLARY_NAMES, make_mapillary, save_palette, write_pairs
from mmengine.config import Config
from PIL import Image
from some_results import RECORD, some_images, table_of

from rein import checkpoint as ckpt
from rein.engine.weights.files import convert_file, merge_files
from rein.evaluation.result_files import save_results
from rein.models.freezing import trained_state_dict

MAIN = "configs/dinov2/rein_dinov2_mask2former_512x512_bs1x4.py"


def make_world(root: Path) -> Path:
    """Write all intact files below a folder."""
    _make_data(root)
    _make_weights(root / "weights")
    (root / "config").mkdir()
    (root / "config/tiny.py").write_text(config_source(tiny_config("gta").to_dict()))
    _make_zip(root / "zip")
    images = some_images()
    for run in ("runs/a", "runs/b"):
        save_results(root / run, table_of(images), images, RECORD)
    return root


def tiny_config(data: str) -> Config:
    """Configure one iteration and a test of the tiny model; paths are relative to the world."""
    cfg = Config.fromfile(MAIN)
    cfg.model = tiny_model_config()
    cfg.model.backbone.init_cfg = dict(type="Pretrained", checkpoint="weights/converted.pth")
    loader = cfg.train_dataloader
    loader.update(batch_size=2, num_workers=0, pin_memory=False)
    loader.dataset.data_root = data
    crop_small(loader)
    pipeline = [dict(type="LoadImageFromFile"),
                dict(type="Resize", scale=(96, 80), keep_ratio=True),
                dict(type="LoadAnnotations"), dict(type="PackSegInputs")]
    cfg.test_dataloader = dict(
        batch_size=1, num_workers=0, sampler=dict(type="DefaultSampler", shuffle=False),
        dataset=dict(loader.dataset, pipeline=pipeline))
    cfg.test_evaluator = dict(type="DGIoUMetric", iou_metrics=["mIoU"], dataset_keys=["gta"])
    for key in ("val_dataloader", "val_cfg", "val_evaluator"):
        cfg.pop(key)
    cfg.train_cfg = dict(type="IterBasedTrainLoop", max_iters=1)
    cfg.vis_backends = cfg.visualizer.vis_backends = [dict(type="LocalVisBackend")]
    return cfg


def config_source(values: dict) -> str:
    """Write a config as assignments."""
    return "".join(f"{name} = {value!r}\n" for name, value in values.items())


def _make_data(root: Path) -> None:
    rng = np.random.default_rng(0)
    pairs = []
    for _ in range(3):
        label = np.kron(rng.integers(0, 19, (4, 5)), np.ones((24, 24))).astype(np.uint8)
        pairs.append((np.stack([label * 13] * 3, -1), label))
    (root / "gta").mkdir()
    write_pairs(root / "gta", pairs, "_labelTrainIds.png")
    for i, (image, label) in enumerate(pairs):
        save_palette(root / f"gta/labels/{i}.png", label)
        Image.fromarray(image).save(root / f"street{i}.jpg")
    objects = [{"label": "road", "polygon": [[0, 0], [60, 0], [60, 30.5]]},
               {"label": "cargroup", "polygon": [[5, 5], [9, 5], [9, 9]], "deleted": 0}]
    town = root / "cityscapes/gtFine/val/town"
    town.mkdir(parents=True)
    for i in range(2):
        (town / f"town_{i}_gtFine_polygons.json").write_text(json.dumps(
            {"imgHeight": 32, "imgWidth": 64, "objects": objects}))
    make_mapillary(root / "mapillary", MAPILLARY_NAMES, nested=False)


def _make_weights(folder: Path) -> None:
    cfg = tiny_model_config()
    torch.manual_seed(0)
    model = build(cfg)
    backbone = dict(cfg.backbone, type="DinoVisionTransformer", img_size=56, patch_size=14)
    backbone.pop("reins_config")
    ckpt.save_file({**build(backbone).state_dict(), "mask_token": torch.zeros(1, 32)},
                   folder / "original.pth")
    text = config_source(tiny_config("gta").to_dict())
    ckpt.save_file(dict(meta=dict(cfg=text, iter=7), state_dict=trained_state_dict(model)),
                   folder / "adapter.pth")
    convert_file(folder / "original.pth", folder / "converted.pth", (64, 64))
    merge_files(folder / "converted.pth", folder / "adapter.pth", folder / "merged.pth", Config())
    for name in ("original", "adapter", "merged"):
        ckpt.save_file(ckpt.load_file(folder / f"{name}.pth"), folder / f"{name}.safetensors")


def _make_zip(folder: Path) -> None:
    folder.mkdir()
    with zipfile.ZipFile(folder / "acdc.zip", "w") as archive:
        for i in range(3):
            Image.fromarray(np.full((20, 30), i + 7, np.uint8)).save(folder / "a.png")
            archive.write(folder / "a.png", f"labelTrainIds/GOPR0475_frame_00004{i}_rgb_anon.png")
    (folder / "a.png").unlink()


def copy_parts(world: Path, folder: Path, *parts: str) -> None:
    """Copy parts of the world to a new folder."""
    for part in parts:
        target = folder / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if (world / part).is_dir():
            shutil.copytree(world / part, target)
        else:
            shutil.copy(world / part, target)
