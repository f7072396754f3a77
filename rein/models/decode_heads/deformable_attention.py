"""Multi-scale deformable attention with mmcv's weights, fast without compiled operators.

Each output is a weighted sum of a few dozen rows of the values (points x levels x 4 corners of a
bilinear interpolation). On a CPU, torch's embedding bags sum rows without first copying them to
memory; mmcv's PyTorch path copies them. Elsewhere mmcv's compiled operator runs if available, else
`grid_sample`; sizes are plain numbers, so that nothing waits for the device.

Source: Zhu et al., Deformable DETR (arXiv:2010.04159), section 4.1.
"""

import warnings
from collections.abc import Sequence
from typing import NamedTuple

from rein.compat import has_compiled_ops

import torch
import torch.nn.functional as F
from mmcv.ops import MultiScaleDeformableAttention
from mmcv.ops.multi_scale_deform_attn import MultiScaleDeformableAttnFunction
from torch import Tensor

_BORDER = 2  # zero pixels around a level; a place inside the level reaches at most one of them


def attend_deformable(
    attention: MultiScaleDeformableAttention,
    query: Tensor,
    query_pos: Tensor,
    pixels: Tensor,
    sizes: Sequence[tuple[int, int]],
) -> Tensor:
    """Apply multi-scale deformable self-attention, and add the identity.

    Args:
        attention: mmcv's module.
        query: (B, n, C), level after level, row after row.
        query_pos: (B or 1, n, C).
        pixels: (n, levels, 2), position of each query, x and y in pixels of each level.
        sizes: H and W of each level.

    Returns:
        (B, n, C).
    """
    heads, points = attention.num_heads, attention.num_points
    value = attention.value_proj(query).unflatten(-1, (heads, -1))
    placed = query + query_pos
    shape = (*query.shape[:2], heads, len(sizes), points)
    weights = attention.attention_weights(placed).unflatten(-1, (heads, -1)).softmax(-1)
    # offsets are in pixels of their level
    places = pixels[:, None, :, None] + attention.sampling_offsets(placed).view(*shape, 2)
    output = sample_and_sum(value, sizes, places, weights.view(shape))
    return attention.dropout(attention.output_proj(output)) + query


def sample_and_sum(
    value: Tensor, sizes: Sequence[tuple[int, int]], places: Tensor, weights: Tensor,
) -> Tensor:
    """Compute weighted sums of values interpolated at places; values outside a level are zero.

    Args:
        value: (B, keys, heads, D), level after level, row after row.
        sizes: H and W of each level.
        places: (B, Q, heads, levels, points, 2), x and y in pixels; a pixel's centre is at 0.5.
        weights: (B, Q, heads, levels, points).

    Returns:
        (B, Q, heads * D).
    """
    way = _with_grid_sample
    if not torch.compiler.is_compiling():
        if value.device.type == "cpu":
            way = _with_bags
        elif has_compiled_ops():
            way = _with_compiled_operator
    # only float32 resolves fractions of a pixel
    return way(value.float(), sizes, places.float(), weights.float()).to(value.dtype)


def _with_bags(value: Tensor, sizes, places: Tensor, weights: Tensor) -> Tensor:
    batch, _, heads, channels = value.shape
    padded, grid = _pad_levels(value, sizes)
    summed = _SumAtPlaces.apply(
        padded, places.flatten(3, 4).flatten(0, 2), weights.flatten(3).flatten(0, 2), grid)
    return summed.view(batch, -1, heads * channels)


def _with_grid_sample(value: Tensor, sizes, places: Tensor, weights: Tensor) -> Tensor:
    maps = value.permute(0, 2, 3, 1).flatten(0, 1)  # (B * heads, D, keys)
    places = places.transpose(1, 2).flatten(0, 1)  # (B * heads, Q, levels, points, 2)
    weights = weights.transpose(1, 2).flatten(0, 1)[:, None]
    total = 0
    levels = maps.split([height * width for height, width in sizes], 2)
    for i, (level, (height, width)) in enumerate(zip(levels, sizes, strict=True)):
        x, y = places[:, :, i].unbind(-1)
        grid = torch.stack((x * (2 / width) - 1, y * (2 / height) - 1), -1)
        found = F.grid_sample(level.unflatten(2, (height, width)), grid, align_corners=False)
        total = total + (found * weights[:, :, :, i]).sum(-1)  # (B * heads, D, Q)
    return total.unflatten(0, value.shape[::2][:2]).flatten(1, 2).transpose(1, 2)


def _with_compiled_operator(value: Tensor, sizes, places: Tensor, weights: Tensor) -> Tensor:
    shapes = torch.tensor(sizes, device=value.device)
    return MultiScaleDeformableAttnFunction.apply(
        value, shapes, shapes.prod(1).cumsum(0) - shapes.prod(1),
        (places / shapes.flip(-1)[:, None]).contiguous(), weights.contiguous(), len(value))


class _Grid(NamedTuple):
    """Padded levels, one after the other.

    Attributes:
        sizes: H and W of each level without its border.
        starts: First row of each level.
    """

    sizes: list[tuple[int, int]]
    starts: list[int]

    @property
    def widths(self) -> list[int]:
        """Width of each level with its border."""
        return [width + 2 * _BORDER for _, width in self.sizes]


def _pad_levels(value: Tensor, sizes: Sequence[tuple[int, int]]) -> tuple[Tensor, _Grid]:
    """Put a border of zeros around each level.

    Args:
        value: (B, keys, heads, D).
        sizes: H and W of each level.

    Returns:
        The padded values (B, K, heads, D), and the layout of their levels.
    """
    levels = value.split([height * width for height, width in sizes], 1)
    border = (0, 0, 0, 0, *4 * (_BORDER,))
    padded = [F.pad(level.unflatten(1, size), border).flatten(1, 2)
              for level, size in zip(levels, sizes, strict=True)]
    lengths = [level.shape[1] for level in padded]
    return torch.cat(padded, 1), _Grid(list(sizes), [sum(lengths[:i]) for i in range(len(lengths))])


class _Corners(NamedTuple):
    """The four pixels around each place: upper left, upper right, lower left, lower right.

    Attributes:
        first: int32 (R, S), row of the upper left pixel in the flattened values.
        rows: int32 (R, 4, S), rows of all four pixels.
        right: (R, S), share of the right pixels, 0 to 1.
        low: (R, S), share of the lower pixels, 0 to 1.
    """

    first: Tensor
    rows: Tensor
    right: Tensor
    low: Tensor

    def shares(self, weights: Tensor) -> Tensor:
        """Divide weights (R, S) among the corners: (R, 4, S)."""
        low = weights * self.low
        up = weights - low
        low_right, up_right = low * self.right, up * self.right
        return torch.stack((up - up_right, up_right, low - low_right, low_right), 1)


def _find_corners(places: Tensor, shape: torch.Size, grid: _Grid) -> _Corners:
    """Find the pixels around places (R, S, 2) in values of shape (B, K, heads, D)."""
    batch, keys, heads, _ = shape
    points = places.shape[1] // len(grid.sizes)
    sizes, starts, widths = (
        torch.tensor(v).repeat_interleave(points, 0) for v in (
            grid.sizes, grid.starts, grid.widths))
    # clamped places, too, have only zeros around them
    x, y = ((places[..., i] - 0.5).clamp(torch.tensor(-_BORDER), sizes[:, 1 - i]) for i in (0, 1))
    left, top = x.floor(), y.floor()
    pixels = ((top + _BORDER) * widths + (left + (_BORDER + starts))).int()
    image_and_head = (torch.arange(batch)[:, None, None] * keys * heads + torch.arange(heads)).int()
    first = (pixels.view(batch, -1, heads, pixels.shape[1]) * heads
             + image_and_head[..., None]).flatten(0, 2)
    steps = torch.stack((0 * widths, 0 * widths + 1, widths, widths + 1)).int() * heads
    return _Corners(first, first[:, None] + steps, x - left, y - top)


class _SumAtPlaces(torch.autograd.Function):
    """Weighted sums of values at places, and their gradients, without gathered rows in memory.

    Values are padded, (B, K, heads, D); places (R, S, 2) and weights (R, S) with R = B * Q * heads;
    sums are (R, D).
    """

    @staticmethod
    def forward(ctx, value: Tensor, places: Tensor, weights: Tensor, grid: _Grid) -> Tensor:
        ctx.save_for_backward(value, places, weights)
        ctx.grid = grid
        corners = _find_corners(places, value.shape, grid)
        return F.embedding_bag(
            corners.rows.flatten(1), value.flatten(0, 2), mode="sum",
            per_sample_weights=corners.shares(weights).flatten(1))

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        value, places, weights = ctx.saved_tensors
        grad = grad.contiguous()
        corners = _find_corners(places, value.shape, ctx.grid)
        grad_value = grad_places = grad_weights = None
        if ctx.needs_input_grad[0]:
            grad_value = _grad_of_value(
                grad, value.shape, corners.first, corners.shares(weights), ctx.grid)
        if any(ctx.needs_input_grad[1:3]):
            rows = corners.rows.flatten(1)
            products = _products(grad, value.flatten(0, 2), rows).view_as(corners.rows)
            grad_places, grad_weights = _grad_of_places(products, corners, weights)
        return grad_value, grad_places, grad_weights, None


def _grad_of_places(
    products: Tensor, corners: _Corners, weights: Tensor,
) -> tuple[Tensor, Tensor]:
    """Compute the gradients of places (R, S, 2) and weights (R, S).

    Args:
        products: (R, 4, S), scalar products of the sums' gradients and the corners' values.
        corners: The corners.
        weights: (R, S).
    """
    upper_left, upper_right, lower_left, lower_right = products.unbind(1)
    upper, lower = upper_right - upper_left, lower_right - lower_left  # slopes along x
    at_upper = torch.addcmul(upper_left, upper, corners.right)
    along_y = torch.addcmul(lower_left, lower, corners.right) - at_upper
    along_x = torch.lerp(upper, lower, corners.low)
    return (torch.stack((along_x * weights, along_y * weights), -1),
            torch.addcmul(at_upper, along_y, corners.low))


def _grad_of_value(
    grad: Tensor, shape: torch.Size, first: Tensor, shares: Tensor, grid: _Grid,
) -> Tensor:
    """Compute the gradient of each value from the gradients (R, D) of the sums.

    Places are sorted only once, by their upper left corners: gradients of the other corners are
    summed there, too, and then shifted by a pixel.

    Args:
        grad: (R, D).
        shape: Shape of the values, (B, K, heads, D).
        first: As in `_Corners`.
        shares: (R, 4, S), from `_Corners.shares`.
        grid: The layout of the levels.

    Returns:
        (B, K, heads, D).
    """
    order = first.flatten().argsort()
    counts = torch.bincount(first.flatten(), minlength=shape[:3].numel())
    bags = order.div(first.shape[1], rounding_mode="floor"), grad, counts.cumsum(0) - counts
    upper, upper_right, lower, lower_right = (
        F.embedding_bag(*bags, mode="sum", per_sample_weights=share.flatten()[order]).view(shape)
        for share in shares.unbind(1))
    upper[:, 1:] += upper_right[:, :-1]
    lower[:, 1:] += lower_right[:, :-1]
    for start, end, width in zip(
            grid.starts, [*grid.starts[1:], shape[1]], grid.widths, strict=True):
        upper[:, start + width:end] += lower[:, start:end - width]
    return upper


def _products(grad: Tensor, rows: Tensor, index: Tensor) -> Tensor:
    """Compute the scalar products (R, S) of each sum's gradient with each of its rows."""
    starts = torch.arange(0, index.numel() + 1, index.shape[1], dtype=torch.int32)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        places = torch.sparse_csr_tensor(
            starts, index.flatten(), grad.new_zeros(index.numel()), (len(grad), len(rows)),
            check_invariants=False)
        return torch.sparse.sampled_addmm(places, grad, rows.t(), beta=0).values().view(index.shape)
