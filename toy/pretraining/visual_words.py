"""Visual words: k-means over descriptions of patches, what the toy foundation model learns to name.

Sources: MaskFeat (Wei et al., arXiv:2112.09133) for gradients as descriptions, HuBERT (Hsu et al.,
arXiv:2106.07447) for clusters of them as targets.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

PATCH, GRID = 14, 16
DIRECTIONS, CELLS = 8, 2  # of gradients; cells per patch side
CONTEXTS = (3, 7)  # neighbourhoods of a patch that describe it, in patches


def describe(pictures: np.ndarray) -> Tensor:
    """Describe each patch by gradients and colours: its own, and averages around it.

    Args:
        pictures: uint8 (B, 224, 224, 3).

    Returns:
        (B, 256, T), free of the picture's brightness, contrast and tint.
    """
    images = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
    small = images[:, :, ::8, ::8]
    spread, mean = torch.std_mean(small, (2, 3), keepdim=True)
    spread = spread + 0.05
    grey = images.mean(1, keepdim=True)
    gx = F.pad(grey[..., 2:] - grey[..., :-2], (1, 1))
    gy = F.pad(grey[..., 2:, :] - grey[..., :-2, :], (0, 0, 1, 1))
    cell, half = PATCH // CELLS, DIRECTIONS // 2
    angle = torch.arange(half) * (np.pi / half)
    cos, sin = angle.cos().view(-1, 1, 1), angle.sin().view(-1, 1, 1)
    along = F.avg_pool2d(F.relu(gx * cos + gy * sin), cell)
    # relu(-x) = relu(x) - x: the opposite directions come for free
    against = along - F.avg_pool2d(gx, cell) * cos - F.avg_pool2d(gy, cell) * sin
    energy = torch.cat((along, against.clamp(min=0)), 1) / spread.mean(1, keepdim=True)
    colors = F.avg_pool2d((images - mean) / spread, cell)
    cells = torch.cat((2 * energy.sqrt(), 0.7 * colors), 1)
    whole = F.avg_pool2d(cells, CELLS)
    around = [F.avg_pool2d(whole, size, 1, size // 2, count_include_pad=False)
              for size in CONTEXTS]
    return torch.cat((F.pixel_unshuffle(cells, CELLS), whole, *around), 1).flatten(2).mT


class Dictionary:
    """Visual words: k-means over descriptions.

    Args:
        pictures: uint8 (N, 224, 224, 3) to learn them from.
        words: How many.
        generator: Source of the first words.
    """

    def __init__(self, pictures: np.ndarray, words: int, generator: torch.Generator):
        described = torch.cat([describe(part) for part in np.array_split(pictures, 8)])
        self.mean, self.spread = described.mean((0, 1)), described.std((0, 1)) + 1e-6
        own = CELLS * CELLS * (DIRECTIONS + 3)
        self.weight = torch.ones(described.shape[-1])
        self.weight[:own] = 0.35  # the details of a patch matter less than what it is part of
        points = self._place(self.standardize(described)).flatten(0, 1)
        self.words = points[torch.randperm(len(points), generator=generator)[:words]]
        for _ in range(15):
            nearest = torch.cdist(points, self.words).argmin(1)
            count = torch.bincount(nearest, minlength=words)[:, None]
            total = torch.zeros_like(self.words).index_add_(0, nearest, points)
            self.words = torch.where(count > 0, total / count.clamp(min=1), self.words)

    def standardize(self, described: Tensor) -> Tensor:
        """Give each number of a description (..., T) its place in the distance."""
        return (described - self.mean) / self.spread * self.weight

    def name(self, standardized: Tensor) -> Tensor:
        """Nearest word of each patch: (B, 256, T) -> (B, 256) int64."""
        points = self._place(standardized)
        return torch.cdist(points.flatten(0, 1), self.words).argmin(1).view(points.shape[:2])

    @staticmethod
    def _place(standardized: Tensor) -> Tensor:
        """Append the patch's row and column: the same grey is sky above and road below."""
        line = torch.linspace(-1, 1, GRID)
        rows, columns = torch.meshgrid(2.5 * line, 0.75 * line, indexing="ij")
        position = torch.stack((rows.flatten(), columns.flatten()), -1)
        return torch.cat((standardized, position.expand(len(standardized), -1, -1)), -1)
