"""Training samples per core: this project's datasets against stock mmseg's, equal to the bit.

Both run the published pipeline: load, resize, crop, flip, colours, pack; crop 512 or 1024. Frames
are toy streets enlarged to the datasets' sizes, with noise that makes the files as large as GTA's.
Stock mmseg has no cache, so it decodes in every row. The system has already cached the files.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmseg.registry import DATASETS

from benchmarks.paired import Row, compare
from rein.datasets.building import build_dataset, files_of
from rein.datasets.cache import CACHE_VARIABLE, cache_files
from rein.datasets.converters.label_pngs import encode_label_image
from rein.datasets.label_maps import CITYSCAPES_ID_TO_TRAIN_ID, lookup_table
from rein.engine.training.seeding import seed_everything
from toy.streets.make import make_sample

FRAMES = 3
SAMPLES = 24  # per timing, each with its own random draws
PIPELINES = Path(__file__).parents[1] / "configs/_base_/datasets/train_pipelines.py"


def run(repeats: int) -> list[Row]:
    """Time frames of three kinds, decoded and from the cache."""
    kinds = [("png", 1914, 1052, 512), ("png", 1914, 1052, 1024),
             ("jpg", 2048, 1024, 512), ("jpg", 1280, 720, 512)]
    with tempfile.TemporaryDirectory() as folder, _one_thread(), \
            DefaultScope.overwrite_default_scope("mmseg"):
        cache = Path(folder, "cache")
        return [
            row for kind in kinds
            for row in _rows(Path(folder, "-".join(map(str, kind))), cache, *kind, repeats)]


@contextmanager
def _one_thread() -> Iterator[None]:
    """Give torch and OpenCV one thread each, as a loading process has."""
    threads = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    try:
        yield
    finally:
        torch.set_num_threads(threads[0])
        cv2.setNumThreads(threads[1])


def _rows(root: Path, cache: Path, suffix: str, width: int, height: int, crop: int,
          repeats: int) -> list[Row]:
    """Time frames of one kind."""
    _make_frames(root, suffix, width, height)
    cfg = dict(
        data_root=str(root), img_suffix=f".{suffix}", seg_map_suffix="_labelTrainIds.png",
        data_prefix=dict(img_path="images", seg_map_path="labels"),
        pipeline=Config.fromfile(PIPELINES)[f"train_pipeline_{crop}x{crop}"])
    stock = DATASETS.build(dict(cfg, type="CityscapesDataset"))
    cfg.update(type="UrbanSceneDataset", domain="gta")
    decoding = build_dataset(cfg)
    cache_files(files_of(decoding), cache, workers=1)
    os.environ[CACHE_VARIABLE] = str(cache)
    cached = build_dataset(cfg)
    del os.environ[CACHE_VARIABLE]
    _check_equal(stock, decoding, cached)
    what = f"{suffix.upper()} {width}x{height}, crop {crop}"
    return [
        compare(f"{what}, {way}", lambda data=data: _load(data), lambda: _load(stock),
                repeats, "ms/sample", 1000 / SAMPLES, goal)
        for way, data, goal in (("decoded", decoding, None), ("cached", cached, 3))]


def _load(dataset) -> None:
    seed_everything(0)
    for i in range(SAMPLES):
        dataset[i % FRAMES]


def _check_equal(stock, *datasets) -> None:
    """Check that all datasets give the same sample for a seed."""
    for dataset in datasets:
        for seed in range(FRAMES):
            samples = []
            for data in (stock, dataset):
                seed_everything(seed)
                samples.append(data[seed])
            images, labels = ([sample["inputs"] for sample in samples],
                              [sample["data_samples"].gt_sem_seg.data for sample in samples])
            if not torch.equal(*images) or not torch.equal(*labels):
                raise RuntimeError("a sample differs from mmseg's")


def _make_frames(root: Path, suffix: str, width: int, height: int) -> None:
    """Write enlarged toy streets with a camera's noise, and their labels."""
    for folder in ("images", "labels"):
        (root / folder).mkdir(parents=True)
    train_ids = lookup_table(CITYSCAPES_ID_TO_TRAIN_ID)
    for i in range(FRAMES):
        sample = make_sample("gta", "train", i, 0)
        image = cv2.resize(sample.rgb, (width, height), interpolation=cv2.INTER_CUBIC)
        noisy = image + np.random.default_rng(i).normal(0, 1, image.shape)  # a PNG of 2.5 MB
        image = np.clip(noisy, 0, 255).astype(np.uint8)
        cv2.imwrite(str(root / f"images/{i}.{suffix}"), image)
        label = cv2.resize(
            train_ids[sample.scene.labels], (width, height), interpolation=cv2.INTER_NEAREST)
        (root / f"labels/{i}_labelTrainIds.png").write_bytes(encode_label_image(label))
