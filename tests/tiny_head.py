"""Inputs of the tiny model's decode head, and gradients to compare."""

import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from rein.models.pyramid import Pyramid


def inputs(batch=2, size=64):
    """Return a pyramid of random maps, with queries."""
    generator = torch.Generator().manual_seed(1)
    maps = tuple(torch.randn(batch, 32, size // s, size // s, generator=generator)
                 for s in (4, 8, 16, 32))
    sizes = [tuple(x.shape[-2:]) for x in maps]
    return Pyramid(maps, sizes, torch.randn(8, 16, generator=generator))


def samples(batch=2, size=64, classes=4):
    """Return random labels in large squares, with ignored rows."""
    coarse = torch.randint(0, classes, (batch, 4, 4), generator=torch.Generator().manual_seed(2))
    labels = coarse.repeat_interleave(size // 4, 1).repeat_interleave(size // 4, 2)
    labels[:, :5] = 255
    return [SegDataSample(gt_sem_seg=PixelData(data=label[None])) for label in labels]


def gradients(output, leaves):
    """Return the gradients of a weighted sum of the output."""
    weight = torch.linspace(-1, 1, output.numel()).view_as(output)
    return torch.autograd.grad((output * weight).sum(), leaves)


def points_by_number(*shape, device=None):
    """Draw like `torch.rand` (..., P, 2), but always the same points for the same P."""
    shape = torch.Size(shape[0] if len(shape) == 1 else shape)
    points = torch.empty(shape[-2:]).uniform_(generator=torch.Generator().manual_seed(shape[-2]))
    return points.expand(shape).clone()
