"""Pretraining a tiny vision transformer without labels, by predicting visual words.

Every picture of a street comes with another one of the same street in fair weather, as ACDC's
come with reference images. Each patch of the fair picture is described by its gradients and
colours and those around it; k-means turns the descriptions into visual words. The encoder sees a
few patches of the other picture, photometrically distorted, and names the word of each; a small
decoder names the words of hidden patches. So features come to tell what is where, and to care
little about light, weather and camera. All heavy work is done on chosen patches: a CPU suffices.

Sources: MAE (He et al., arXiv:2111.06377) for encoding visible patches only; HuBERT (Hsu et al.,
arXiv:2106.07447) and MaskFeat (Wei et al., arXiv:2112.09133) for what is predicted; DINOv2 (Oquab
et al., arXiv:2304.07193) for the file format.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from timm.models.vision_transformer import Block, VisionTransformer
from torch import Tensor, nn

from rein.checkpoint import StateDict
from rein.errors import UserError
from toy.pretraining.visual_words import GRID, PATCH, Dictionary, describe

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet, on RGB in [0, 1]: what DINOv2's pictures are normalised with."""

IMAGE, TOKENS = PATCH * GRID, GRID * GRID


class Pair(NamedTuple):
    """Two pictures of one street from one place.

    Attributes:
        picture: In any light, weather and camera.
        fair: In fair weather.
    """

    picture: Path
    fair: Path


@dataclass(frozen=True)
class Recipe:
    """How to pretrain.

    Attributes:
        iters: Optimizer steps.
        batch: Crops per step.
        lr: Highest learning rate; warm-up over the first 6 %, then cosine to 0.
        weight_decay: Of AdamW.
        visible: Patches the encoder sees; as many hidden ones are predicted.
        words: Visual words.
        seed: Of everything.
    """

    iters: int = 1000
    batch: int = 48
    lr: float = 1e-3
    weight_decay: float = 0.05
    visible: int = 48
    words: int = 256
    seed: int = 0


def build_encoder(embed_dim: int = 128, depth: int = 8, num_heads: int = 4,
                  img_size: int = IMAGE, patch_size: int = PATCH) -> VisionTransformer:
    """Build the toy foundation model: by default patch 14, 16 x 16 position grid."""
    encoder = VisionTransformer(
        img_size=img_size, patch_size=patch_size, embed_dim=embed_dim, depth=depth,
        num_heads=num_heads, num_classes=0, init_values=1.0)
    with torch.no_grad():  # learned positions start where a short training can use them
        encoder.pos_embed[0, 1:] = sincos_positions(embed_dim, img_size // patch_size)
    return encoder


def sincos_positions(channels: int, side: int = GRID) -> Tensor:
    """Sine and cosine of rows and columns at several wavelengths, (side * side, channels)."""
    frequency = 1 / 100 ** (torch.arange(channels // 4) / (channels // 4))
    angle = torch.arange(side)[:, None] * frequency
    waves = torch.cat((angle.sin(), angle.cos()), 1)
    rows = waves[:, None].expand(-1, side, -1)
    columns = waves[None].expand(side, -1, -1)
    return torch.cat((rows, columns), 2).flatten(0, 1)


class WordPredictor(nn.Module):
    """Encoder of visible patches, and heads that name words.

    Args:
        encoder: Becomes the foundation model.
        words: Visual words.
        numbers: Length of a description.
        width: Channels of the decoder.
        layers: Blocks of the decoder.
    """

    def __init__(self, encoder: VisionTransformer, words: int, numbers: int, width: int = 64,
                 layers: int = 2):
        super().__init__()
        self.encoder, self.words = encoder, words
        self.mask_token = nn.Parameter(torch.zeros(1, encoder.embed_dim))
        self.seen_head = nn.Linear(encoder.embed_dim, words + numbers)
        self.project = nn.Linear(encoder.embed_dim, width)
        self.positions = nn.Parameter(sincos_positions(width))
        self.blocks = nn.Sequential(*(Block(width, width // 32) for _ in range(layers)))
        self.norm = nn.LayerNorm(width)
        self.hidden_head = nn.Linear(width, words)

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

    def forward(self, patches: Tensor, where: Tensor, wanted: Tensor) -> tuple[Tensor, ...]:
        """Name the words of seen and hidden patches.

        Args:
            patches: (B, K, 3, 14, 14), normalised.
            where: (B, K) their indices in the grid.
            wanted: (B, M) indices of hidden patches.

        Returns:
            Logits (B, K, words) and descriptions (B, K, numbers) of the seen patches, logits
            (B, M, words) of the hidden ones.
        """
        encoded = self.encode(patches, where)
        logits, numbers = self.seen_head(encoded[:, 1:]).tensor_split((self.words,), -1)
        seen = self.project(encoded)
        seen = torch.cat((seen[:, :1], seen[:, 1:] + self.positions[where]), 1)
        asked = self.project(self.mask_token).expand(*wanted.shape, -1) + self.positions[wanted]
        tokens = self.norm(self.blocks(torch.cat((seen, asked), 1))[:, -wanted.shape[1]:])
        return logits, numbers, self.hidden_head(tokens)


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
    saturation, veil = draw(0, 1.6, 1, 1), draw(-0.5, 0.6, 1, 1).clip(0)
    matrix = saturation * np.eye(3) + (1 - saturation) / 3
    matrix = matrix * draw(0.75, 1.25, 3, 1) * np.exp(draw(-1.1, 0.35, 1, 1))
    contrast = draw(0.5, 1.4, 1, 1)
    middle = matrix @ mean.numpy()[..., None]
    shift = (1 - veil) * (1 - contrast) * middle + veil * draw(0.1, 0.9, 1, 1)
    matrix = torch.from_numpy((1 - veil) * contrast * matrix).float()[:, None]
    shift = torch.from_numpy(shift).float()[:, None]
    distorted = matrix @ patches.flatten(3) + shift
    noise = torch.from_numpy(rng.standard_normal(distorted.shape[1:], np.float32))
    strength = torch.from_numpy(draw(-0.06, 0.06, 1, 1, 1)).float()
    return (distorted + strength * noise).clamp_(0, 1).view_as(patches)


def normalize(images: Tensor) -> Tensor:
    """Normalise RGB in [0, 1] (..., 3, H, W) as DINOv2 does."""
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    return (images - mean) / std


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


def crops(pairs: Sequence[Pair], batch: int, rng: np.random.Generator,
          fair: float = 0.2) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield batches of random crops for ever, two of each street.

    Args:
        pairs: Picture files of each street.
        batch: Crops at a time.
        rng: Source of randomness.
        fair: Share of crops that show the fair picture on both sides.

    Yields:
        uint8 (B, 224, 224, 3), crops of the pictures, and the same of the fair ones.
    """
    order: list[int] = []
    while True:
        views: list[tuple[np.ndarray, np.ndarray]] = []
        while len(views) < batch:
            if not order:
                order = rng.permutation(len(pairs)).tolist()
            street = [_read(path) for path in pairs[order.pop()]]
            for _ in range(2):
                box, flip = _box(street[0].size, rng), rng.random() < 0.5
                view, reference = (_crop(image, box, flip) for image in street)
                views.append((reference if rng.random() < fair else view, reference))
        pictures, references = zip(*views[:batch], strict=True)
        yield np.stack(pictures), np.stack(references)


def _read(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGB")


def _box(size: tuple[int, int], rng: np.random.Generator) -> tuple[float, float, float, float]:
    """Draw a random square in a picture: left, top, right, bottom."""
    width, height = size
    # 256 pixels become 224: patch 14 then covers what patch 16 will at full size
    side = min(width, height, 256 * np.exp(rng.uniform(-0.7, 0.25)))
    x, y = rng.uniform(0, width - side), rng.uniform(0, height - side)
    return x, y, x + side, y + side


def _crop(image: Image.Image, box: tuple[float, float, float, float], flip: bool) -> np.ndarray:
    """Cut out a box, uint8 (224, 224, 3)."""
    piece = image.resize((IMAGE, IMAGE), Image.Resampling.BILINEAR, box)
    return np.asarray(piece)[:, ::(-1 if flip else 1)]


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
            "tools/make_toy_streets.py --unlabelled N; this tool's --help has the command.")
    return pairs


def pretrain(pairs: Sequence[Pair], recipe: Recipe, log: Callable[[str], None] = print,
             encoder: VisionTransformer | None = None) -> StateDict:
    """Pretrain an encoder on pictures without labels.

    Args:
        pairs: Picture files of each street.
        recipe: How.
        log: Receives a line now and then.
        encoder: What to train; default: a new `build_encoder()`.

    Returns:
        The backbone in DINOv2's format, float32, with a `mask_token`.
    """
    torch.manual_seed(recipe.seed)
    rng, generator = np.random.default_rng(recipe.seed), torch.Generator().manual_seed(recipe.seed)
    if encoder is None:
        with torch.random.fork_rng():  # a given encoder leaves the other draws the same
            encoder = build_encoder()
    batches = crops(pairs, recipe.batch, rng)
    first = np.concatenate([next(batches)[1] for _ in range(max(1, 384 // recipe.batch))])
    dictionary = Dictionary(first, recipe.words, generator)
    model = WordPredictor(encoder, recipe.words, len(dictionary.mean))
    optimizer = torch.optim.AdamW(
        model.parameters(), recipe.lr, betas=(0.9, 0.95), weight_decay=recipe.weight_decay)
    running: dict[str, float] = {}
    for step in range(1, recipe.iters + 1):
        done = step / recipe.iters
        for group in optimizer.param_groups:
            group["lr"] = recipe.lr * min(1, done / 0.06) * (0.5 + 0.5 * np.cos(np.pi * done))
        losses = _losses(model, dictionary, *next(batches), recipe.visible, rng)
        optimizer.zero_grad()
        sum(losses.values()).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        for name, loss in losses.items():
            running[name] = 0.9 * running.get(name, loss.item()) + 0.1 * loss.item()
        if step % 25 == 0 or step == recipe.iters:
            values = ", ".join(f"{name} {value:0.3f}" for name, value in running.items())
            log(f"step {step}/{recipe.iters}  {values}")
    state_dict = {**encoder.state_dict(), "mask_token": model.mask_token}
    return {key: value.detach() for key, value in state_dict.items()}


def _losses(model: WordPredictor, dictionary: Dictionary, pictures: np.ndarray,
            references: np.ndarray, visible: int, rng: np.random.Generator) -> dict[str, Tensor]:
    """Losses of one batch: words and descriptions of seen patches, words of hidden ones."""
    numbers = dictionary.standardize(describe(references))
    words = dictionary.name(numbers)
    order = rng.random((len(pictures), TOKENS)).argsort(1)
    seen, hidden = order[:, :visible], order[:, visible:2 * visible]
    mean = torch.from_numpy(pictures[:, ::8, ::8].mean((1, 2)) / 255).float()
    view = normalize(distort(choose_patches(pictures, seen), mean, rng))
    seen, hidden = torch.from_numpy(seen.copy()), torch.from_numpy(hidden.copy())
    logits, predicted, guessed = model(view, seen, hidden)
    numbers = numbers.gather(1, seen[..., None].expand(-1, -1, numbers.shape[-1]))
    return {
        "seen words": F.cross_entropy(logits.flatten(0, 1), words.gather(1, seen).flatten()),
        "seen numbers": F.mse_loss(predicted, numbers),
        "hidden words": 0.5 * F.cross_entropy(
            guessed.flatten(0, 1), words.gather(1, hidden).flatten()),
    }
