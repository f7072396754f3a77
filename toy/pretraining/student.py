"""The student: a small plain ViT in DINOv2's format, started so that a short training suffices.

Its patch kernels are 14 x 14, yet it trains as it is used: on 16-pixel patches, with the kernels
resampled as the converter does.

Sources: DINOv2 (Oquab et al., arXiv:2304.07193) for the format; mimetic initialisation (Trockman &
Kolter, arXiv:2305.09828) and convolutional initialisation (Zheng et al., arXiv:2401.12511) for
attention that starts local.
"""

from collections.abc import Sequence

import rein.compat  # noqa: F401  before timm

import torch
import torch.nn.functional as F
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from rein.checkpoint import resample

PATCH, USED_PATCH, GRID = 14, 16, 16
_NEAR = ((0, -1), (0, 1), (-1, 0), (1, 0))
_FAR = ((-1, -1), (1, 1), (-1, 1), (1, -1))


def build_encoder(embed_dim: int = 192, depth: int = 8, num_heads: int = 4,
                  img_size: int = PATCH * GRID, patch_size: int = PATCH) -> VisionTransformer:
    """Build the toy foundation model: by default patch 14, 16 x 16 position grid."""
    encoder = VisionTransformer(
        img_size=img_size, patch_size=patch_size, embed_dim=embed_dim, depth=depth,
        num_heads=num_heads, num_classes=0, init_values=1.0)
    with torch.no_grad():
        encoder.pos_embed[0, 1:] = sincos_positions(embed_dim, img_size // patch_size)
        for i, block in enumerate(encoder.blocks):
            for linear in (block.attn.qkv, block.attn.proj, block.mlp.fc1, block.mlp.fc2):
                nn.init.xavier_uniform_(linear.weight)
            if i < depth * 3 // 4:
                look_at_neighbours(block.attn, _FAR if i % 2 else _NEAR)
    return encoder


def frequencies(count: int) -> Tensor:
    """Wave numbers of the positions, from a quarter turn per patch down to a sixteenth of that."""
    return torch.pi / 2 / 16 ** (torch.arange(count) / count)


def sincos_positions(channels: int, side: int = GRID) -> Tensor:
    """Sine and cosine of rows and columns at several wavelengths, (side * side, channels)."""
    angle = torch.arange(side)[:, None] * frequencies(channels // 4)
    waves = torch.cat((angle.sin(), angle.cos()), 1)
    rows = waves[:, None].expand(-1, side, -1)
    columns = waves[None].expand(side, -1, -1)
    return torch.cat((rows, columns), 2).flatten(0, 1)


def look_at_neighbours(attention: nn.Module, offsets: Sequence[tuple[int, int]],
                       sharpness: float = 2.2) -> None:
    """Let heads start by attending to the patch at a fixed offset, like a convolution.

    Sines and cosines of some wavelengths are keys; queries are the same, turned by the offset.
    Heads beyond the offsets keep their random start.

    Args:
        attention: timm's, behind `sincos_positions`.
        offsets: (rows, columns) of each head.
        sharpness: Scale of queries and keys.
    """
    width, size = attention.qkv.in_features, attention.head_dim
    waves, pairs = width // 4, size // 4
    chosen = torch.linspace(0, waves - 1, pairs).long()
    turn = frequencies(waves)[chosen]
    for head, offset in zip(range(attention.num_heads), offsets, strict=False):
        query, key = torch.zeros(2, size, width)
        for axis, step in enumerate(offset):
            cos, sin = (turn * step).cos(), (turn * step).sin()
            s, c = 2 * axis * waves + chosen, (2 * axis + 1) * waves + chosen
            a = 2 * axis * pairs + torch.arange(pairs)
            b = a + pairs
            key[a, s] = key[b, c] = sharpness
            query[a, s], query[a, c] = sharpness * cos, sharpness * sin
            query[b, c], query[b, s] = sharpness * cos, -sharpness * sin
        rows = slice(head * size, (head + 1) * size)
        attention.qkv.weight[rows] = query
        attention.qkv.weight[width:2 * width][rows] = key


@torch.no_grad()
def start_patches_from_pictures(encoder: VisionTransformer, images: Sequence[Tensor],
                                generator: torch.Generator, scale: float = 0.35) -> None:
    """Let the patch kernels start as the whitened principal components of patches.

    Args:
        encoder: Is changed in place.
        images: (3, H, W), normalised.
        generator: Source of a rotation that spreads the components over the channels.
        scale: Standard deviation of each channel.
    """
    weight = encoder.patch_embed.proj.weight
    ratio = USED_PATCH / PATCH
    patches = torch.cat([
        F.unfold(F.interpolate(image[None], scale_factor=1 / ratio, mode="bilinear"),
                 PATCH, stride=5)[0].T for image in images])
    values, vectors = torch.linalg.eigh(torch.cov(patches.T))
    values, vectors = values[-len(weight):], vectors[:, -len(weight):]
    kernels = (vectors / (values + 2e-3 * values[-1]).sqrt()).T
    rotation, _ = torch.linalg.qr(torch.randn(len(weight), len(weight), generator=generator))
    # resampled kernels have more pixels to sum over
    weight.copy_(scale / ratio**2 * (rotation @ kernels).view_as(weight))


def encode(encoder: VisionTransformer, images: Tensor) -> list[Tensor]:
    """Encode pictures with 16-pixel patches, as the converted network does.

    Args:
        encoder: From `build_encoder`.
        images: (B, 3, 256, 256), normalised.

    Returns:
        (B, 256, C): the patches after each block.
    """
    projection = encoder.patch_embed.proj
    kernel = resample(projection.weight, (USED_PATCH, USED_PATCH))
    tokens = F.conv2d(images, kernel, projection.bias, USED_PATCH).flatten(2).mT
    first = encoder.cls_token.expand(len(images), -1, -1)
    tokens, outputs = torch.cat((first, tokens), 1) + encoder.pos_embed, []
    for block in encoder.blocks:
        tokens = block(tokens)
        outputs.append(tokens[:, 1:])
    return outputs
