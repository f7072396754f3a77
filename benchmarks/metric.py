"""IoU of one 2048x1024 frame: one bincount, against mmseg's IoUMetric."""

import numpy as np
import torch
from mmengine.structures import PixelData
from mmseg.evaluation import IoUMetric
from mmseg.structures import SegDataSample

from benchmarks.paired import Row, compare
from rein.datasets.label_maps import CLASSES, PALETTE
from rein.evaluation.domain_iou import DGIoUMetric

_FRAMES = 4


def run(repeats: int) -> list[Row]:
    """Time the counting of a frame, and check that both metrics agree."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    sample = _street(device)
    ours, theirs = DGIoUMetric(), IoUMetric()
    for metric in (ours, theirs):
        metric.dataset_meta = dict(classes=CLASSES, palette=PALETTE)

    def count(metric) -> None:
        metric.results.clear()
        for _ in range(_FRAMES):
            metric.process({}, [sample])

    row = compare(
        f"IoU of a 2048x1024 frame on {device}", lambda: count(ours), lambda: count(theirs),
        repeats, "ms/frame", 1000 / _FRAMES, goal=5)
    counts, (correct, union, *_) = ours.results[0].confusion, theirs.results[0]
    mine = np.diag(counts), counts.sum(0) + counts.sum(1) - np.diag(counts)
    if not all(np.array_equal(a, b.numpy()) for a, b in zip(mine, (correct, union), strict=True)):
        raise RuntimeError("areas of intersection and union differ from mmseg's metric")
    return [row]


def _street(device: str) -> dict:
    """Make object-like blocks of labels, a fifth of them ignored, and an 80 % correct prediction.

    Returns:
        A sample in the evaluators' format, with seg maps (1, 1024, 2048) int64.
    """
    rng = np.random.default_rng(0)
    blocks = rng.integers(0, 19, (32, 64))
    guessed = np.where(rng.random(blocks.shape) < 0.8, blocks, rng.integers(0, 19, blocks.shape))
    blocks[rng.random(blocks.shape) < 0.2] = 255
    truth, prediction = (
        torch.from_numpy(np.kron(labels, np.ones((32, 32), np.int64)))[None].to(device)
        for labels in (blocks, guessed))
    sample = SegDataSample(
        gt_sem_seg=PixelData(data=truth), pred_sem_seg=PixelData(data=prediction))
    sample.set_metainfo(dict(domain="citys", img_path="frame.png"))
    return sample.to_dict()
