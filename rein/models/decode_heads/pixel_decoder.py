"""Mask2Former's pixel decoder for maps before resizing, with mmdet's modules.

A 1 x 1 convolution and bilinear resizing commute, so the smaller of the two maps is convolved. The
rest follows mmdet's `MSDeformAttnPixelDecoder`, without padding masks, since nothing is padded
here.

Source: Cheng et al., Mask2Former (arXiv:2112.01527).
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from mmcv.cnn import ConvModule
from mmdet.models.layers import MSDeformAttnPixelDecoder, SinePositionalEncoding
from torch import Tensor

from rein.models.decode_heads.deformable_attention import attend_deformable
from rein.models.pyramid import Pyramid, resize


class PixelFeatures(NamedTuple):
    """The pixel decoder's outputs.

    Attributes:
        mask_features: (B, C, H/4, W/4).
        memories: Maps (B, C, h, w) for the transformer decoder, coarse to fine.
    """

    mask_features: Tensor
    memories: list[Tensor]


def decode_pixels(decoder: MSDeformAttnPixelDecoder, maps: Sequence[Tensor]) -> PixelFeatures:
    """Compute the pixel features as the decoder's own `forward` does.

    Args:
        decoder: mmdet's module.
        maps: A `Pyramid`, or maps (B, C, H_i, W_i), fine to coarse.
    """
    pyramid = Pyramid.of(maps)
    laterals = decoder.num_input_levels - decoder.num_encoder_levels
    levels = range(decoder.num_input_levels - 1, laterals - 1, -1)  # coarse to fine
    outputs = _encode(decoder, [
        _project(conv, pyramid, level)
        for conv, level in zip(decoder.input_convs, levels, strict=True)])
    # mmdet indexes these convolutions by level, although it lists them from coarse to fine
    for level in range(laterals - 1, -1, -1):
        lateral = _project(decoder.lateral_convs[level], pyramid, level)
        above = resize(outputs[-1], pyramid.sizes[level])
        outputs.append(decoder.output_convs[level](lateral + above))
    return PixelFeatures(decoder.mask_feature(outputs[-1]), outputs[:decoder.num_outs])


def _project(module: ConvModule, pyramid: Pyramid, level: int) -> Tensor:
    """Convolve (1 x 1), resize and normalise a map: (B, C', H_i, W_i)."""
    feats, size = pyramid.maps[level], pyramid.sizes[level]
    if feats.shape[-2] * feats.shape[-1] > size[0] * size[1]:
        feats = resize(feats, size)
    # channels last matches the tokens they are added to, and convolves fastest
    feats = module.conv(feats).contiguous(memory_format=torch.channels_last)
    feats = resize(feats, size)
    return module.norm(feats) if module.with_norm else feats


def _encode(decoder: MSDeformAttnPixelDecoder, maps: list[Tensor]) -> list[Tensor]:
    """Apply deformable self-attention across maps (B, C, h, w), coarse to fine."""
    sizes = [tuple(x.shape[-2:]) for x in maps]
    tokens = torch.cat([x.flatten(2).transpose(1, 2) for x in maps], 1)
    positions = _positions(decoder, maps)
    x, y = torch.cat([_centres(x) for x in maps]).unbind(-1)
    pixels = torch.stack([torch.stack((x * width, y * height), -1) for height, width in sizes], 1)
    for layer in decoder.encoder.layers:
        tokens = layer.norms[0](attend_deformable(
            layer.self_attn, tokens, positions, pixels, sizes))
        tokens = layer.norms[1](layer.ffn(tokens))
    parts = tokens.split([height * width for height, width in sizes], 1)
    return [part.transpose(1, 2).unflatten(2, size)
            for part, size in zip(parts, sizes, strict=True)]


def _positions(decoder: MSDeformAttnPixelDecoder, maps: list[Tensor]) -> Tensor:
    """Embed the positions and levels of maps (B, C, h, w): (1, n, C)."""
    encoding = decoder.postional_encoding  # mmdet's spelling
    return torch.cat([
        embed_places(encoding, x) + level
        for x, level in zip(maps, decoder.level_encoding.weight, strict=True)], 1)


def embed_places(encoding: SinePositionalEncoding, x: Tensor) -> Tensor:
    """Embed the positions of maps (B, C, h, w) without padding: (1, h * w, C)."""
    no_padding = x.new_zeros((1, *x.shape[-2:]), dtype=torch.bool)
    return encoding(no_padding).flatten(2).transpose(1, 2)


def _centres(x: Tensor) -> Tensor:
    """Return the pixel centres of maps (B, C, h, w): (h * w, 2), x and y from 0 to 1."""
    height, width = x.shape[-2:]
    y, x = torch.meshgrid(
        (torch.arange(height, device=x.device) + 0.5) / height,
        (torch.arange(width, device=x.device) + 0.5) / width, indexing="ij")
    return torch.stack((x, y), -1).flatten(0, 1)
