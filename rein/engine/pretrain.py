"""Pretraining a tiny vision transformer without labels, by masked feature prediction.

The encoder sees a few patches of a photometrically distorted picture; a small decoder predicts
what other patches of the undistorted picture hold: oriented gradients and colours, normalised.
Distorted inputs and normalised targets make features that care little about light, weather and
camera. All work before the encoder is done on the chosen patches only, so a CPU suffices.

Sources: MAE (He et al., arXiv:2111.06377) for encoding visible patches only, MaskFeat (Wei et
al., arXiv:2112.09133) for gradients as targets, DINOv2 (Oquab et al., arXiv:2304.07193) for the
file format.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from timm.models.vision_transformer import Block, VisionTransformer
from torch import Tensor, nn

from rein.checkpoint import StateDict

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet, on RGB in [0, 1]: what DINOv2's pictures are normalised with."""

PATCH, GRID = 14, 16
IMAGE, TOKENS = PATCH * GRID, GRID * GRID
CELLS = 2  # target cells per patch side
DIRECTIONS = 8


def build_encoder(embed_dim: int = 128, depth: int = 8, num_heads: int = 4,
                  img_size: int = IMAGE, patch_size: int = PATCH) -> VisionTransformer:
    """Build the toy foundation model: by default patch 14, 16 x 16 position grid."""
    encoder = VisionTransformer(
        img_size=img_size, patch_size=patch_size, embed_dim=embed_dim, depth=depth,
        num_heads=num_heads, num_classes=0, init_values=1.0)
    with torch.no_grad():
        encoder.pos_embed[0, 1:] = sincos_positions(embed_dim, img_size // patch_size)
    return encoder


class MaskedPredictor(nn.Module):
    """Encoder of visible patches and decoder of hidden ones.

    Args:
        encoder: Its blocks become the foundation model.
        outputs: Numbers to predict per patch.
        width: Channels of the decoder.
        layers: Blocks of the decoder.
    """

    def __init__(self, encoder: VisionTransformer, outputs: int, width: int = 64,
                 layers: int = 2):
        super().__init__()
        self.encoder = encoder
        self.mask_token = nn.Parameter(torch.zeros(1, encoder.embed_dim))
        self.project = nn.Linear(encoder.embed_dim, width)
        self.positions = nn.Parameter(sincos_positions(width))
        self.blocks = nn.Sequential(*(Block(width, width // 32) for _ in range(layers)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, outputs)

    def encode(self, patches: Tensor, where: Tensor) -> Tensor:
        """Encode visible patches.

        Args:
            patches: (B, K, 3, 14, 14), normalised.
            where: (B, K) their indices in the grid.

        Returns:
            (B, 1 + K, C): class token and patches.
        """
        encoder, projection = self.encoder, self.encoder.patch_embed.proj
        tokens = F.linear(patches.flatten(2), projection.weight.flatten(1), projection.bias)
        tokens = tokens + encoder.pos_embed[0, 1:][where]
        first = (encoder.cls_token + encoder.pos_embed[:, :1]).expand(len(patches), -1, -1)
        return encoder.norm(encoder.blocks(torch.cat((first, tokens), 1)))

    def forward(self, patches: Tensor, where: Tensor, wanted: Tensor) -> Tensor:
        """Predict (B, M, outputs) for the patches at indices `wanted` (B, M); see `encode`."""
        seen = self.project(self.encode(patches, where))
        asked = self.project(self.mask_token).expand(*wanted.shape, -1)
        seen = torch.cat((seen[:, :1], seen[:, 1:] + self.positions[where]), 1)
        tokens = self.blocks(torch.cat((seen, asked + self.positions[wanted]), 1))
        return self.head(self.norm(tokens[:, -wanted.shape[1]:]))


def describe(patches: Tensor, spread: Tensor, mean: Tensor) -> Tensor:
    """Describe patches by oriented gradients and colours, free of brightness and tint.

    Args:
        patches: (B, M, 3, 14, 14), RGB in [0, 1].
        spread: (B, 1, 3, 1, 1), standard deviation of the whole picture's colours.
        mean: Their mean, same shape.

    Returns:
        (B, M, T).
    """
    grey = patches.mean(2)
    gx = F.pad(grey[..., 2:] - grey[..., :-2], (1, 1))
    gy = F.pad(grey[..., 2:, :] - grey[..., :-2, :], (0, 0, 1, 1))
    cell, half = PATCH // CELLS, DIRECTIONS // 2
    angle = torch.arange(half) * (np.pi / half)
    cos, sin = angle.cos().view(-1, 1, 1), angle.sin().view(-1, 1, 1)
    gx, gy = gx.flatten(0, 1)[:, None], gy.flatten(0, 1)[:, None]
    along = F.avg_pool2d(F.relu(gx * cos + gy * sin), cell)
    # relu(-x) = relu(x) - x: the opposite directions come for free
    against = along - F.avg_pool2d(gx, cell) * cos - F.avg_pool2d(gy, cell) * sin
    energy = torch.cat((along, against.clamp(min=0)), 1) / spread.mean((1, 2)).repeat_interleave(
        patches.shape[1], 0)[..., None]
    gradients = 2 * (energy.sqrt() - .25)
    colors = F.avg_pool2d(((patches - mean) / spread).flatten(0, 1), cell)
    return torch.cat((gradients, .7 * colors), 1).reshape(*patches.shape[:2], -1)


OUTPUTS = CELLS * CELLS * (DIRECTIONS + 3)


def distort(patches: Tensor, mean: Tensor, rng: np.random.Generator) -> Tensor:
    """Change light, colour, haze and noise of each picture.

    Args:
        patches: (B, K, 3, 14, 14), RGB in [0, 1].
        mean: (B, 3), mean colour of each picture.
        rng: Source of randomness.

    Returns:
        The same shape, in [0, 1].
    """
    def draw(low: float, high: float, *shape: int) -> np.ndarray:
        return rng.uniform(low, high, (len(patches), *shape))

    # one affine map of the colours per picture: saturation, tint, exposure, contrast, haze
    saturation, veil = draw(0, 1.6, 1, 1), draw(-.5, .6, 1, 1).clip(0)
    matrix = saturation * np.eye(3) + (1 - saturation) / 3
    matrix = matrix * draw(.75, 1.25, 3, 1) * np.exp(draw(-1.1, .35, 1, 1))
    contrast = draw(.5, 1.4, 1, 1)
    middle = matrix @ mean.numpy()[..., None]
    shift = (1 - veil) * (1 - contrast) * middle + veil * draw(.1, .9, 1, 1)
    matrix = torch.from_numpy((1 - veil) * contrast * matrix).float()[:, None]
    shift = torch.from_numpy(shift).float()[:, None]
    distorted = matrix @ patches.flatten(3) + shift
    noise = torch.from_numpy(rng.standard_normal(distorted.shape[1:], np.float32))
    strength = torch.from_numpy(draw(-.06, .06, 1, 1, 1)).float()
    return (distorted + strength * noise).clamp_(0, 1).view_as(patches)


def normalize(images: Tensor) -> Tensor:
    """Normalise RGB in [0, 1] (..., 3, H, W) as DINOv2 does."""
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    return (images - mean) / std


def crops(files: Sequence[Path], batch: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield batches of random crops for ever, uint8 (B, 224, 224, 3), two of each picture."""
    order: list[int] = []
    while True:
        pictures: list[np.ndarray] = []
        while len(pictures) < batch:
            if not order:
                order = rng.permutation(len(files)).tolist()
            with Image.open(files[order.pop()]) as image:
                image = image.convert("RGB")
            pictures += [_crop(image, rng), _crop(image, rng)]
        yield np.stack(pictures[:batch])


def _crop(image: Image.Image, rng: np.random.Generator) -> np.ndarray:
    """A random square of a picture, flipped half the time, uint8 (224, 224, 3)."""
    width, height = image.size
    # 256 pixels become 224: patch 14 then covers what patch 16 will at full size
    side = min(width, height, 256 * np.exp(rng.uniform(-.7, .25)))
    x, y = rng.uniform(0, width - side), rng.uniform(0, height - side)
    piece = image.resize((IMAGE, IMAGE), Image.Resampling.BILINEAR, (x, y, x + side, y + side))
    return np.asarray(piece)[:, ::(-1 if rng.random() < .5 else 1)]


def choose_patches(pictures: np.ndarray, where: np.ndarray) -> Tensor:
    """Cut patches out of pictures.

    Args:
        pictures: uint8 (B, 224, 224, 3).
        where: (B, K) indices in the grid.

    Returns:
        (B, K, 3, 14, 14), RGB in [0, 1].
    """
    batch = len(pictures)
    grid = pictures.reshape(batch, GRID, PATCH, GRID, PATCH, 3)
    chosen = grid[np.arange(batch)[:, None], where // GRID, :, where % GRID]
    return torch.from_numpy(chosen).permute(0, 1, 4, 2, 3).float() / 255


def sincos_positions(channels: int, side: int = GRID) -> Tensor:
    """Sine and cosine of rows and columns at several wavelengths, (side * side, channels)."""
    frequency = 1 / 100 ** (torch.arange(channels // 4) / (channels // 4))
    angle = torch.arange(side)[:, None] * frequency
    waves = torch.cat((angle.sin(), angle.cos()), 1)
    rows = waves[:, None].expand(-1, side, -1)
    columns = waves[None].expand(side, -1, -1)
    return torch.cat((rows, columns), 2).flatten(0, 1)


def pretrain(
    images: Sequence[Path], iters: int = 400, batch: int = 64, lr: float = 1.5e-3,
    visible: int = 48, wanted: int = 64, seed: int = 0,
) -> StateDict:
    """Pretrain the toy foundation model on pictures without labels.

    Args:
        images: Picture files.
        iters: Optimizer steps; AdamW, warm-up over the first 6 %, then cosine decay.
        batch: Crops per step.
        lr: Highest learning rate.
        visible: Patches the encoder sees, of 256.
        wanted: Patches to predict, drawn from the others.
        seed: Of weights, crops, masks and distortions.

    Returns:
        The encoder in DINOv2's format, float32, with a `mask_token` (zeros: none was learned).
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = MaskedPredictor(build_encoder(), OUTPUTS)
    optimizer = torch.optim.AdamW(model.parameters(), lr, betas=(0.9, 0.95), weight_decay=0.05)
    pictures, average = crops(images, batch, rng), 0.0
    for step in range(1, iters + 1):
        done = step / iters
        for group in optimizer.param_groups:
            group["lr"] = lr * min(1, done / 0.06) * (0.5 + 0.5 * np.cos(np.pi * done))
        loss = _masked_loss(model, next(pictures), visible, wanted, rng)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        average = loss.item() if step == 1 else 0.95 * average + 0.05 * loss.item()
        if step % 25 == 0 or step == iters:
            print(f"step {step}/{iters}  loss {average:.4f}", flush=True)
    state = model.encoder.state_dict()
    return {**state, "mask_token": torch.zeros_like(state["cls_token"][0])}


def _masked_loss(
    model: MaskedPredictor, pictures: np.ndarray, visible: int, wanted: int,
    rng: np.random.Generator,
) -> Tensor:
    """Mean squared error of the predicted descriptions of hidden patches.

    Args:
        model: Encoder and decoder.
        pictures: uint8 (B, 224, 224, 3).
        visible: Patches to show.
        wanted: Patches to predict.
        rng: Draws both and the distortions.
    """
    order = rng.random((len(pictures), TOKENS)).argsort(1)
    shown, hidden = order[:, :visible], order[:, visible:visible + wanted]
    small = torch.from_numpy(np.ascontiguousarray(pictures[:, ::8, ::8])).float() / 255
    mean, spread = small.mean((1, 2)), small.std((1, 2)) + 0.05
    targets = describe(
        choose_patches(pictures, hidden), spread[:, None, :, None, None],
        mean[:, None, :, None, None])
    inputs = normalize(distort(choose_patches(pictures, shown), mean, rng))
    shown, hidden = torch.from_numpy(shown.copy()), torch.from_numpy(hidden.copy())
    return (model(inputs, shown, hidden) - targets).square().mean()
