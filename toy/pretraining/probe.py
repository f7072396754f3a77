"""Is a pretrained backbone worth something? A linear probe of its frozen patch features.

A linear classifier learns on the source look which class fills each patch, and is tested on other
looks: the better the features, and the less they care about appearance, the higher its scores.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from rein.checkpoint import StateDict, convert_dinov2
from rein.datasets.label_maps import (
    CITYSCAPES_ID_TO_TRAIN_ID,
    CLASSES,
    IGNORE_INDEX,
    lookup_table,
)
from toy.pretraining.pretrain import build_encoder, normalize
from toy.streets.make import make_sample

WINDOW, PATCH = 256, 16
TARGETS = ("cityscapes", "bdd100k", "mapillary", "acdc_night", "acdc_fog", "acdc_rain",
           "acdc_snow")


class Windows(NamedTuple):
    """Square pieces of pictures and what fills each of their patches.

    Attributes:
        images: uint8 (N, 3, 256, 256), RGB.
        labels: int64 (N, 256): the trainId that fills most of each patch, row by row.
    """

    images: Tensor
    labels: Tensor


class Score(NamedTuple):
    """Of a linear probe on one look, both in percent."""

    accuracy: float
    mean_iou: float


def make_windows(domain: str, count: int, seed: int = 0) -> Windows:
    """Make labelled windows of a toy domain.

    Args:
        domain: A key of `toy_streets.make.DOMAINS`.
        count: Pictures; each gives a left and a right window.
        seed: Of the streets.

    Returns:
        The windows.
    """
    table = lookup_table(CITYSCAPES_ID_TO_TRAIN_ID)
    images, labels = [], []
    for index in range(count):
        sample = make_sample(domain, "val", index, seed)
        truth = table[sample.scene.labels]
        for x in (0, truth.shape[1] - WINDOW):
            # 252-pixel frames (BDD100K) lack four rows
            window = slice(0, WINDOW), slice(x, x + WINDOW)
            missing = max(0, WINDOW - truth.shape[0])
            image = np.pad(sample.rgb[window], ((0, missing), (0, 0), (0, 0)), mode="edge")
            label = np.pad(truth[window], ((0, missing), (0, 0)), constant_values=IGNORE_INDEX)
            images.append(image.transpose(2, 0, 1))
            labels.append(_majority(label))
    return Windows(torch.from_numpy(np.stack(images)), torch.from_numpy(np.stack(labels)))


def _majority(label: np.ndarray) -> np.ndarray:
    """The most frequent trainId of each patch, int64 (patches,)."""
    side = WINDOW // PATCH
    patches = label.reshape(side, PATCH, side, PATCH).transpose(0, 2, 1, 3).reshape(side**2, -1)
    return np.array([np.bincount(patch).argmax() for patch in patches])


@torch.no_grad()
def extract(state_dict: StateDict, images: Tensor, indices: Sequence[int] | None = None) -> Tensor:
    """Compute frozen features the way Rein uses a backbone: at patch 16, from four blocks.

    Args:
        state_dict: A backbone in DINOv2's format, patch 14.
        images: uint8 (N, 3, 256, 256), RGB.
        indices: Blocks to take; default: four, evenly spaced.

    Returns:
        (N, patches, 4 C), each block's features normalised.
    """
    converted = convert_dinov2(state_dict, (WINDOW, WINDOW), PATCH)
    depth = 1 + max(int(key.split(".")[1]) for key in state_dict if key.startswith("blocks."))
    width = state_dict["cls_token"].shape[-1]
    encoder = build_encoder(width, depth, width // 32, WINDOW, PATCH)
    converted.pop("mask_token", None)
    encoder.load_state_dict({key: value.float() for key, value in converted.items()})
    indices = indices or [depth * (k + 1) // 4 - 1 for k in range(4)]
    features = []
    for batch in images.split(16):
        maps = encoder.eval().forward_intermediates(
            normalize(batch.float() / 255), indices=list(indices), intermediates_only=True)
        maps = [F.layer_norm(m.flatten(2).transpose(1, 2), (width,)) for m in maps]
        features.append(torch.cat(maps, -1))
    return torch.cat(features)


def probe(state_dict: StateDict, source: Windows, targets: Mapping[str, Windows],
          steps: int = 150) -> dict[str, Score]:
    """Train a linear classifier on the source and score it on each target.

    Args:
        state_dict: A backbone in DINOv2's format.
        source: Labelled windows to train on.
        targets: Name -> labelled windows to test on.
        steps: Full-batch optimizer steps.

    Returns:
        Name -> score.
    """
    features = extract(state_dict, source.images).flatten(0, 1)
    labels = source.labels.flatten()
    classifier = torch.nn.Linear(features.shape[-1], len(CLASSES))
    torch.nn.init.zeros_(classifier.weight)
    optimizer = torch.optim.AdamW(classifier.parameters(), 0.02, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        loss = F.cross_entropy(classifier(features), labels, ignore_index=IGNORE_INDEX)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    scores = {}
    for name, windows in targets.items():
        with torch.no_grad():
            predicted = classifier(extract(state_dict, windows.images)).argmax(-1).flatten()
        scores[name] = _score(predicted, windows.labels.flatten())
    return scores


def _score(predicted: Tensor, labels: Tensor) -> Score:
    """Accuracy and mean IoU over the classes that occur, in percent."""
    valid = labels != IGNORE_INDEX
    count = len(CLASSES)
    confusion = torch.bincount(labels[valid] * count + predicted[valid], minlength=count * count)
    confusion = confusion.view(count, count).double()
    hit, truth = confusion.diagonal(), confusion.sum(1)
    iou = hit / (truth + confusion.sum(0) - hit).clamp(min=1)
    return Score(float(100 * hit.sum() / truth.sum()), float(100 * iou[truth > 0].mean()))


def compare_with_random(state_dict: StateDict, pictures: int = 60, seed: int = 0) -> str:
    """Probe a backbone and the same network with random weights; trained on toy GTA.

    Args:
        state_dict: A backbone in DINOv2's format, patch 14.
        pictures: Source pictures; each target has a sixth of them.
        seed: Of the random weights.

    Returns:
        A table: accuracy and mean IoU in percent on each target look.
    """
    torch.manual_seed(seed)
    source = make_windows("gta", pictures)
    targets = {name: make_windows(name, max(pictures // 6, 1)) for name in TARGETS}
    random = probe(build_encoder().state_dict(), source, targets)
    trained = probe(state_dict, source, targets)
    lines = [f"{'accuracy / mIoU':<16}{'random':>14}{'pretrained':>14}"]
    for name in targets:
        cells = [f"{s.accuracy:.1f} / {s.mean_iou:.1f}" for s in (random[name], trained[name])]
        lines.append(f"{name:<16}{cells[0]:>14}{cells[1]:>14}")
    means = [np.mean([(s.accuracy, s.mean_iou) for s in scores.values()], axis=0)
             for scores in (random, trained)]
    cells = [f"{mean[0]:.1f} / {mean[1]:.1f}" for mean in means]
    return "\n".join([*lines, f"{'mean':<16}{cells[0]:>14}{cells[1]:>14}"])
