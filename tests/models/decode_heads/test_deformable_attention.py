"""Both ways to sample give the results of mmcv's module."""

import pytest
import torch
from mmcv.ops.multi_scale_deform_attn import multi_scale_deformable_attn_pytorch
from tiny_head import gradients

from rein.models.decode_heads import deformable_attention

SHAPES = torch.tensor([(3, 5), (6, 10), (12, 20)])


@pytest.mark.parametrize("way", ["_with_bags", "_with_grid_sample"])
def test_deformable_attention_equals_mmcvs_forward_and_backward(way):
    """For several images, and for places on and beyond the border, too."""
    torch.manual_seed(0)
    value = torch.randn(2, int(SHAPES.prod(1).sum()), 2, 8, requires_grad=True)
    places = torch.rand(2, 30, 2, 3, 4, 2) * 2 - 0.5  # relative to the level's size
    places[:, 0] *= 20  # far outside
    places.requires_grad_()
    weights = torch.rand(2, 30, 2, 3, 4, requires_grad=True)
    expected = multi_scale_deformable_attn_pytorch(value, SHAPES, places, weights)
    sizes = [tuple(shape) for shape in SHAPES.tolist()]
    found = getattr(deformable_attention, way)(
        value, sizes, places * SHAPES.flip(-1)[:, None], weights)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    leaves = value, places, weights
    for one, other in zip(gradients(found, leaves), gradients(expected, leaves), strict=True):
        torch.testing.assert_close(one, other, atol=2e-4, rtol=1e-4)
