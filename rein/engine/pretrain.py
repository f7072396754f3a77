"""Pretraining a tiny vision transformer without labels, by masked feature prediction.

The encoder sees a quarter of the patches of a photometrically distorted picture; a small decoder
predicts, for every patch, what the undistorted picture holds there: oriented gradients and
colours. Contrast-normalised targets and distorted inputs make features that care little about
light, weather and camera.

Sources: MAE (He et al., arXiv:2111.06377) for encoding visible patches only, MaskFeat (Wei et
al., arXiv:2112.09133) for gradients as targets, DINOv2 (Oquab et al., arXiv:2304.07193) for the
file format.
"""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from timm.models.vision_transformer import Block, VisionTransformer
from torch import Tensor, nn

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet, on RGB in [0, 1]: what DINOv2's pictures are normalised with."""

PATCH = 14
IMAGE = 224
CELLS = 2  # target cells per patch side


def build_encoder(embed_dim: int = 128, depth: int = 8, num_heads: int = 4,
                  img_size: int = IMAGE, patch_size: int = PATCH) -> VisionTransformer:
    """Build the toy foundation model: by default patch 14, 16 x 16 position grid."""
    return VisionTransformer(
        img_size=img_size, patch_size=patch_size, embed_dim=embed_dim, depth=depth,
        num_heads=num_heads, num_classes=0, init_values=1.0)


class MaskedPredictor(nn.Module):
    """Encoder of visible patches and decoder of all.

    Args:
        encoder: Its blocks become the foundation model.
        width: Channels of the decoder.
        layers: Blocks of the decoder.
    """

    def __init__(self, encoder: VisionTransformer, width: int = 64, layers: int = 2):
        super().__init__()
        channels, tokens = encoder.embed_dim, encoder.pos_embed.shape[1]
        self.encoder = encoder
        self.mask_token = nn.Parameter(torch.zeros(1, channels))
        self.project = nn.Linear(channels, width)
        self.positions = nn.Parameter(torch.randn(1, tokens - 1, width) * .02)
        self.blocks = nn.Sequential(*(Block(width, width // 32) for _ in range(layers)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, target_channels())

    def encode(self, images: Tensor, keep: Tensor) -> Tensor:
        """Encode some patches.

        Args:
            images: (B, 3, 224, 224), normalised.
            keep: (B, K) indices of the visible patches.

        Returns:
            (B, 1 + K, C): class token and visible patches.
        """
        encoder = self.encoder
        patches = encoder.patch_embed(images) + encoder.pos_embed[:, 1:]
        visible = patches.gather(1, keep[..., None].expand(-1, -1, patches.shape[-1]))
        first = (encoder.cls_token + encoder.pos_embed[:, :1]).expand(len(images), -1, -1)
        return encoder.norm(encoder.blocks(torch.cat((first, visible), 1)))

    def forward(self, images: Tensor, keep: Tensor, wanted: Tensor) -> Tensor:
        """Predict targets of patches from the visible ones.

        Args:
            images: (B, 3, 224, 224), normalised.
            keep: (B, K) indices of the visible patches.
            wanted: (B, M) indices of hidden patches to predict.

        Returns:
            (B, M, T).
        """
        encoded = self.project(self.encode(images, keep))
        asked = self.project(self.mask_token).expand(len(images), wanted.shape[1], -1)
        width = encoded.shape[-1]
        order = torch.cat((keep, wanted), 1)[..., None].expand(-1, -1, width)
        positions = self.positions.expand(len(images), -1, -1).gather(1, order)
        tokens = torch.cat((encoded[:, 1:], asked), 1) + positions
        tokens = self.blocks(torch.cat((encoded[:, :1], tokens), 1))
        return self.head(self.norm(tokens[:, -wanted.shape[1]:]))


ORIENTATIONS = 8


def target_channels() -> int:
    """Numbers to predict per patch."""
    return CELLS * CELLS * (ORIENTATIONS + 3)


def targets(images: Tensor) -> Tensor:
    """Describe each patch by oriented gradients and colours.

    Args:
        images: (B, 3, H, W), RGB in [0, 1].

    Returns:
        (B, N, T), free of the picture's brightness, contrast and tint.
    """
    grey = images.mean(1, keepdim=True)
    gx = F.pad(grey[..., 2:] - grey[..., :-2], (1, 1, 0, 0), mode="replicate")
    gy = F.pad(grey[:, :, 2:] - grey[:, :, :-2], (0, 0, 1, 1), mode="replicate")
    cell, half = PATCH // CELLS, ORIENTATIONS // 2
    angle = torch.arange(half) * (np.pi / half)
    cos, sin = angle.cos().view(1, -1, 1, 1), angle.sin().view(1, -1, 1, 1)
    along = F.avg_pool2d(F.relu(gx * cos + gy * sin), cell)
    # relu(-x) = relu(x) - x: the opposite directions come for free
    against = along - F.avg_pool2d(gx, cell) * cos - F.avg_pool2d(gy, cell) * sin
    histogram = torch.cat((along, against.clamp(min=0)), 1).sqrt()
    power = F.avg_pool2d(histogram.square().sum(1, keepdim=True), 5, 1, 2,
                         count_include_pad=False).sqrt()
    gradients = histogram / (power + .05) - .3
    colors = F.avg_pool2d(images, cell)
    spread, mean = torch.std_mean(colors, (2, 3), keepdim=True)
    colors = .5 * (colors - mean) / (spread + .05)
    cells = torch.cat((gradients, colors), 1)
    return F.pixel_unshuffle(cells, CELLS).flatten(2).transpose(1, 2)


def distort(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Change light, colour, haze, sharpness and noise of each picture.

    Args:
        images: (B, 3, H, W), RGB in [0, 1].
        rng: Source of randomness.

    Returns:
        The same shape, in [0, 1].
    """
    batch = len(images)

    def draw(low: float, high: float, *shape: int) -> np.ndarray:
        return rng.uniform(low, high, (batch, *shape))

    # one affine map of the colours per picture: saturation, tint, exposure, contrast, haze
    saturation, veil = draw(0, 1.6, 1, 1), draw(-.5, .6, 1, 1).clip(0)
    matrix = saturation * np.eye(3) + (1 - saturation) / 3
    matrix = matrix * draw(.75, 1.25, 3, 1) * np.exp(draw(-1.1, .35, 1, 1))
    contrast = draw(.5, 1.4, 1, 1)
    middle = matrix @ images.mean((2, 3)).numpy()[..., None]
    shift = (1 - veil) * (1 - contrast) * middle + veil * draw(.1, .9, 1, 1)
    matrix = torch.from_numpy((1 - veil) * contrast * matrix).float()
    flat = torch.baddbmm(torch.from_numpy(shift).float(), matrix, images.flatten(2))
    images = flat.view_as(images)
    if rng.random() < .5:
        images = F.avg_pool2d(images, 3, 1, 1, count_include_pad=False)
    noise = torch.from_numpy(rng.standard_normal(images.shape[1:], np.float32))
    strength = torch.from_numpy(draw(-.06, .06, 1, 1, 1)).float()
    return (images + strength * noise).clamp_(0, 1)


def normalize(images: Tensor) -> Tensor:
    """Normalise RGB in [0, 1] (B, 3, H, W) as DINOv2 does."""
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (MEAN, STD))
    return (images - mean) / std


def crops(files: Sequence[Path], batch: int, rng: np.random.Generator) -> Iterator[Tensor]:
    """Yield batches of random crops for ever: (B, 3, 224, 224), RGB in [0, 1]."""
    order: list[int] = []
    while True:
        pictures = []
        while len(pictures) < batch:
            if not order:
                order = rng.permutation(len(files)).tolist()
            pictures.append(_crop(files[order.pop()], rng))
        yield torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255


def _crop(path: Path, rng: np.random.Generator) -> np.ndarray:
    """A random square of a picture, flipped half the time, uint8 (224, 224, 3)."""
    with Image.open(path) as image:
        width, height = image.size
        # 256 pixels become 224: patch 14 then covers what patch 16 will at full size
        side = min(width, height, 256 * np.exp(rng.uniform(-.7, .25)))
        x, y = rng.uniform(0, width - side), rng.uniform(0, height - side)
        picture = image.convert("RGB").resize((IMAGE, IMAGE), Image.Resampling.BILINEAR,
                                              (x, y, x + side, y + side))
    array = np.asarray(picture)
    return array[:, ::-1] if rng.random() < .5 else array
