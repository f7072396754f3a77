"""A feature pyramid whose maps are resized when they are asked for.

All maps of a vision transformer have one size; a head that convolves them by 1 x 1 anyway does
better to convolve the small map and resize the result, which is the same thing.
"""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor


class Pyramid(Sequence):
    """Maps (B, C, H_i, W_i), fine to coarse; a sequence of tensors for heads that know no better.

    Args:
        maps: Maps (B, C, h, w) as the backbone gives them.
        sizes: Their sizes (H_i, W_i) in the pyramid.
    """

    def __init__(self, maps: Sequence[Tensor], sizes: Sequence[tuple[int, int]]) -> None:
        self.maps = tuple(maps)
        self.sizes = tuple(sizes)

    @classmethod
    def of(cls, maps: Sequence[Tensor]) -> "Pyramid":
        """Return maps that have their sizes already as a pyramid, and a pyramid as it is."""
        return maps if isinstance(maps, cls) else cls(maps, [tuple(x.shape[-2:]) for x in maps])

    def __len__(self) -> int:
        return len(self.maps)

    def __getitem__(self, level: int) -> Tensor:
        """Return one map at its size."""
        if isinstance(level, slice):
            return tuple(self[i] for i in range(*level.indices(len(self))))
        return resize(self.maps[level], self.sizes[level])


def resize(feats: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize maps (B, C, h, w) to `size` (H, W), bilinear."""
    if tuple(feats.shape[-2:]) == size:
        return feats
    return F.interpolate(feats, size=size, mode="bilinear", align_corners=False)
