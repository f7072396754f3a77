"""Views of unlabelled streets: the same piece of a picture in any weather and in fair weather.

Every picture of a street comes with another one of the same street in fair weather, as ACDC's
come with reference images.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from rein.errors import UserError

SIDE = 256  # of a view, in pixels
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet, on RGB in [0, 1]: what DINOv2's pictures are normalised with."""


class Pair(NamedTuple):
    """Two pictures of one street from one place.

    Attributes:
        picture: In any light, weather and camera.
        fair: In fair weather.
    """

    picture: Path
    fair: Path


class View(NamedTuple):
    """A square piece of a picture.

    Attributes:
        pixels: Float (3, 256, 256), RGB in [0, 1], distorted.
        box: Left, top, right, bottom as shares of the picture's width and height.
        flip: Whether it is mirrored.
    """

    pixels: Tensor
    box: tuple[float, float, float, float]
    flip: bool


def find_pairs(folder: Path) -> list[Pair]:
    """List the streets of a folder, NAME.jpg beside NAME_fair.jpg, sorted.

    Raises:
        UserError: There is none.
    """
    pairs = [Pair(path, path.with_name(f"{path.stem}_fair.jpg"))
             for path in sorted(folder.glob("*.jpg")) if not path.stem.endswith("_fair")]
    pairs = [pair for pair in pairs if pair.fair.is_file()]
    if not pairs:
        raise UserError(
            f"{folder}: no pairs NAME.jpg and NAME_fair.jpg there. Make some with "
            "tools/make_toy_streets.py --unlabelled N; tools/pretrain_toy_vit.py --help has the "
            "command.")
    return pairs


def read(path: Path) -> Image.Image:
    """Read a picture as RGB."""
    with Image.open(path) as image:
        return image.convert("RGB")


def to_tensor(pixels: np.ndarray) -> Tensor:
    """Turn uint8 (H, W, 3) into float (3, H, W) in [0, 1]."""
    return torch.from_numpy(np.array(pixels)).permute(2, 0, 1).float() / 255


def normalize(images: Tensor) -> Tensor:
    """Normalise RGB in [0, 1] (..., 3, H, W) as DINOv2 does."""
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    return (images - mean) / std


def draw_view(pair: Pair, rng: np.random.Generator, fair: float = 0.35) -> View:
    """Cut a random piece out of a street's picture and distort it.

    Args:
        pair: The street.
        rng: Source of randomness.
        fair: How often the fair picture is taken instead.
    """
    image = read(pair.fair if rng.random() < fair else pair.picture)
    width, height = image.size
    side = min(width, height, SIDE * np.exp(rng.uniform(-0.5, 0.05)))
    x, y = rng.uniform(0, width - side), rng.uniform(0, height - side)
    flip = bool(rng.random() < 0.5)
    piece = image.resize((SIDE, SIDE), Image.Resampling.BILINEAR, (x, y, x + side, y + side))
    pixels = distort(np.asarray(piece)[:, ::-1 if flip else 1], rng)
    box = (x / width, y / height, (x + side) / width, (y + side) / height)
    return View(pixels, box, flip)


def distort(pixels: np.ndarray, rng: np.random.Generator) -> Tensor:
    """Change light, colour, haze, sharpness and noise: uint8 (H, W, 3) -> float (3, H, W)."""
    pixels = pixels.astype(np.float32) / 255
    if rng.random() < 0.2:
        pixels = cv2.GaussianBlur(pixels, (0, 0), rng.uniform(0.3, 1.5))
    saturation, veil = rng.uniform(0.4, 1.4), max(0, rng.uniform(-1.0, 0.4))
    matrix = saturation * np.eye(3) + (1 - saturation) / 3
    matrix = matrix * rng.normal(1, 0.07, (3, 1)) * np.exp(rng.uniform(-0.7, 0.3))
    contrast = rng.uniform(0.7, 1.3)
    middle = matrix @ pixels.mean((0, 1))
    shift = (1 - veil) * (1 - contrast) * middle + veil * rng.uniform(0.1, 0.9)
    pixels = pixels @ np.float32((1 - veil) * contrast * matrix.T) + np.float32(shift)
    noise = np.float32(max(0, rng.uniform(-0.04, 0.04)))
    pixels += noise * rng.standard_normal(pixels.shape, np.float32)
    return torch.from_numpy(np.clip(pixels, 0, 1)).permute(2, 0, 1).contiguous()


def some_fair(pairs: Sequence[Pair], count: int) -> list[Tensor]:
    """Read the fair pictures of `count` streets spread over all: floats (3, H, W) in [0, 1]."""
    chosen = np.linspace(0, len(pairs) - 1, min(count, len(pairs))).astype(int)
    return [to_tensor(np.asarray(read(pairs[i].fair))) for i in chosen]
