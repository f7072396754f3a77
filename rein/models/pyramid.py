"""The feature pyramid that every backbone returns, with the adapter's queries if it has any.

All maps of a vision transformer have the same size. A head with 1 x 1 convolutions should convolve
the small map and resize the result, which is equivalent; other heads get resized maps.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor

FINEST_STRIDE = 4
"""Stride of the finest map, in pixels."""


class MaskQueries(NamedTuple):
    """Queries of an encoder-only mask head, after one block.

    Attributes:
        queries: (B, m, c), for their classes.
        embeds: (B, m, c); their products with the features are the mask logits.
        feats: (B, c, h, w), about stride 4.
    """

    queries: Tensor
    embeds: Tensor
    feats: Tensor


class Pyramid(Sequence):
    """Feature maps, fine to coarse; mmseg heads see a sequence of tensors (B, C, H_i, W_i).

    Args:
        maps: Maps (B, C, h, w) as the backbone computes them.
        sizes: Their sizes (H_i, W_i) in the pyramid.
        queries: (m, q) or (B, m, q) for a head with linked queries; for an encoder-only head,
            `MaskQueries`, one for each prediction; or None.
        image_size: (H, W) in pixels that the maps cover: the image with the backbone's padding.
            Default: the finest size times 4.
    """

    def __init__(
        self,
        maps: Sequence[Tensor],
        sizes: Sequence[tuple[int, int]],
        queries: Tensor | tuple[MaskQueries, ...] | None = None,
        image_size: tuple[int, int] | None = None,
    ) -> None:
        self.maps = tuple(maps)
        self.sizes = tuple(sizes)
        self.queries = queries
        self.image_size = image_size or tuple(FINEST_STRIDE * side for side in self.sizes[0])

    @classmethod
    def of(cls, maps: Sequence[Tensor], like: "Sequence[Tensor] | None" = None) -> "Pyramid":
        """Wrap maps of final size in a pyramid; return a pyramid unchanged.

        Args:
            maps: Tensors (B, C, H_i, W_i), or a pyramid.
            like: Source of the queries and image size: the pyramid the maps come from, if any.
        """
        if isinstance(maps, cls):
            return maps
        sizes = [tuple(x.shape[-2:]) for x in maps]
        if isinstance(like, cls):
            return cls(maps, sizes, like.queries, like.image_size)
        return cls(maps, sizes)

    def __len__(self) -> int:
        return len(self.maps)

    def __getitem__(self, level: int) -> Tensor:
        """Return one map, resized to its level's size; for a slice, a tuple of maps."""
        if isinstance(level, slice):
            return tuple(self[i] for i in range(*level.indices(len(self))))
        return resize(self.maps[level], self.sizes[level])


def resize(feats: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize maps (B, C, h, w) to `size` (H, W) bilinearly."""
    if tuple(feats.shape[-2:]) == size:
        return feats
    return F.interpolate(feats, size=size, mode="bilinear", align_corners=False)
