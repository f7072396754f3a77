"""Is a backbone worth freezing? A linear probe of its features on the toy street world.

A linear classifier learns on toy GTA which class each pixel shows, from frozen features read every
4 pixels, and is tested on looks it never saw: the better the features, and the less they depend on
appearance, the higher its scores. Nothing is tuned on these scores of the targets.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rein.checkpoint import StateDict, convert_dinov2
from rein.datasets.label_maps import CLASSES
from rein.errors import UserError
from toy.pretraining.student import USED_PATCH, build_encoder
from toy.pretraining.views import SIDE, normalize, to_tensor

Features = Callable[[Tensor], Tensor]
HEIGHT, WIDTH, TRAINING = 256, 512, 120

_FILES = {  # name -> pattern of its pictures, and what turns a picture's path into its labels'
    "source": ("gta/images/*.png", ("images", "labels"), (".png", "_labelTrainIds.png")),
    "citys": ("cityscapes/leftImg8bit/val/*/*.png", ("leftImg8bit", "gtFine"),
              ("_leftImg8bit.png", "_gtFine_labelTrainIds.png")),
    "bdd": ("bdd100k/images/10k/val/*.jpg", ("images/10k", "labels/sem_seg/masks"),
            (".jpg", ".png")),
    **{condition: (f"acdc/rgb_anon/{condition}/val/*/*.png", ("rgb_anon/", "gt/"),
                   ("_rgb_anon.png", "_gt_labelTrainIds.png"))
       for condition in ("night", "fog", "rain", "snow")},
}


class Example(NamedTuple):
    """A picture's features and labels.

    Attributes:
        features: (1, C, 64, 128), half precision.
        labels: int64 (1, 256, 512), trainIds.
    """

    features: Tensor
    labels: Tensor


def vit_features(state_dict: StateDict) -> Features:
    """Return the features of a toy backbone as the quickstart uses it: patch 16, windows of 256.

    Args:
        state_dict: In DINOv2's format, patch 14.
    """
    converted = convert_dinov2(state_dict, (SIDE, SIDE), USED_PATCH)
    converted.pop("mask_token", None)
    depth = 1 + max(int(name.split(".")[1]) for name in converted if name.startswith("blocks."))
    width = converted["cls_token"].shape[-1]
    encoder = build_encoder(width, depth, img_size=SIDE, patch_size=USED_PATCH)
    encoder.load_state_dict({name: value.float() for name, value in converted.items()})
    indices = [depth * k // 4 - 1 for k in range(1, 5)]

    def features(images: Tensor) -> Tensor:
        windows = normalize(torch.cat(images.split(SIDE, -1)))
        maps = encoder.eval().forward_intermediates(
            windows, indices=indices, norm=False, intermediates_only=True)
        parts = torch.cat(maps, 1).chunk(images.shape[-1] // SIDE)
        return F.interpolate(torch.cat(parts, -1), scale_factor=4, mode="bilinear")

    return features


def find_files(root: Path, name: str) -> list[tuple[Path, Path]]:
    """List the pictures of one look with their labels.

    Raises:
        UserError: There is none.
    """
    pattern, *changes = _FILES[name]
    found = []
    for picture in sorted(root.glob(pattern)):
        labels = str(picture.relative_to(root))
        for old, new in changes:
            labels = labels.replace(old, new, 1)
        if (root / labels).is_file():
            found.append((picture, root / labels))
    if not found:
        raise UserError(f"{root}: no converted {name} pictures ({pattern}). Run "
                        f"tools/quickstart.py --data {root} first.")
    return found


def read_examples(files: Sequence[tuple[Path, Path]], features: Features) -> Iterator[Example]:
    """Read pictures at 512x256 and encode them."""
    for picture, labels in files:
        image = cv2.resize(cv2.imread(str(picture))[..., ::-1], (WIDTH, HEIGHT))
        truth = cv2.resize(cv2.imread(str(labels), cv2.IMREAD_UNCHANGED), (WIDTH, HEIGHT),
                           interpolation=cv2.INTER_NEAREST)
        with torch.no_grad():
            yield Example(features(to_tensor(image)[None]).half(),
                          torch.from_numpy(truth.astype(np.int64))[None])


def train_classifier(examples: Sequence[Example], steps: int = 600, seed: int = 0) -> nn.Module:
    """Train a linear classifier of standardised features, one picture a step."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    mean = torch.stack([e.features.float().mean((0, 2, 3)) for e in examples]).mean(0)
    var = torch.stack([e.features.float().var((0, 2, 3)) for e in examples]).mean(0)
    norm = nn.BatchNorm2d(len(mean), affine=False).eval()  # fixed: (x - mean) / std
    norm.running_mean, norm.running_var = mean, var
    linear = nn.Conv2d(len(mean), len(CLASSES), 1)
    optimizer = torch.optim.AdamW(linear.parameters(), 1e-2, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=steps)
    classifier = nn.Sequential(norm, linear, nn.Upsample((HEIGHT, WIDTH), mode="bilinear"))
    for _ in range(steps):
        features, labels = examples[rng.integers(len(examples))]
        loss = F.cross_entropy(classifier(features.float()), labels, ignore_index=255)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return classifier


@torch.no_grad()
def mean_iou(classifier: nn.Module, examples: Iterator[Example]) -> float:
    """Mean IoU in percent over the classes that occur."""
    count = len(CLASSES)
    confusion = torch.zeros(count, count, dtype=torch.float64)
    for features, labels in examples:
        predicted, known = classifier(features.float()).argmax(1), labels < count
        pairs = labels[known] * count + predicted[known]
        confusion += torch.bincount(pairs, minlength=count * count).view(count, count)
    hit, either = confusion.diagonal(), confusion.sum(0) + confusion.sum(1)
    return float(100 * (hit / (either - hit)).nanmean())


def probe(features: Features, root: Path, looks: Sequence[str] = ("citys", "bdd", "night"),
          steps: int = 600) -> Mapping[str, float]:
    """Train on toy GTA, test on held-out GTA frames and other looks.

    Args:
        features: Turns RGB pictures (1, 3, 256, 512) in [0, 1] into (1, C, 64, 128).
        root: The converted toy world.
        looks: Names of `_FILES`.
        steps: Of training.

    Returns:
        Name -> mean IoU in percent.
    """
    source = find_files(root, "source")
    held_out = source[TRAINING:TRAINING + 24] or source
    classifier = train_classifier(list(read_examples(source[:TRAINING], features)), steps)
    files = {"source": held_out, **{name: find_files(root, name) for name in looks}}
    return {name: mean_iou(classifier, read_examples(found, features))
            for name, found in files.items()}
