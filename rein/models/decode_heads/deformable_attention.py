"""Multi-scale deformable attention that is fast on a CPU, with mmcv's weights.

Each output is a weighted sum of a few dozen rows of the values (points x levels x 4 corners of a
bilinear interpolation): torch's embedding bags sum rows without writing the gathered ones to
memory, which mmcv's PyTorch path does. On other devices mmcv's own paths run.

Source: Zhu et al., Deformable DETR (arXiv:2010.04159), section 4.1.
"""

import warnings

import torch
import torch.nn.functional as F
from mmcv.ops import MultiScaleDeformableAttention
from torch import Tensor


class CPUDeformableAttention(MultiScaleDeformableAttention):
    """mmcv's module with another way to compute it on a CPU.

    Args:
        **kwargs: As for mmcv's, `batch_first` being True.
    """

    def forward(self, query, key=None, value=None, identity=None, query_pos=None,
                key_padding_mask=None, reference_points=None, spatial_shapes=None,
                level_start_index=None, **kwargs) -> Tensor:
        """Attend; see mmcv's for the arguments."""
        if query.device.type != "cpu" or reference_points.shape[-1] != 2 or not self.batch_first:
            return super().forward(
                query, key, value, identity, query_pos, key_padding_mask, reference_points,
                spatial_shapes, level_start_index, **kwargs)
        value = self.value_proj(query if value is None else value)
        if key_padding_mask is not None:
            value = value.masked_fill(key_padding_mask[..., None], 0.0)
        placed = query if query_pos is None else query + query_pos
        shape = (*query.shape[:2], self.num_heads, self.num_levels, self.num_points)
        weights = self.attention_weights(placed).unflatten(-1, (self.num_heads, -1)).softmax(-1)
        sizes = spatial_shapes.flip(-1)[:, None]  # (levels, 1, 2), x before y
        # offsets are in pixels of their level
        places = (reference_points[:, :, None, :, None] * sizes
                  + self.sampling_offsets(placed).view(*shape, 2))
        output = sample_and_sum(
            value.unflatten(-1, (self.num_heads, -1)), spatial_shapes, places, weights.view(shape))
        identity = query if identity is None else identity
        return self.dropout(self.output_proj(output)) + identity


def sample_and_sum(
    value: Tensor, spatial_shapes: Tensor, places: Tensor, weights: Tensor,
) -> Tensor:
    """Interpolate values at places, zero outside of a level, and sum them with weights.

    Args:
        value: (B, keys, heads, D), level after level, row after row.
        spatial_shapes: int64 (levels, 2), H and W of each level.
        places: (B, Q, heads, levels, points, 2), x and y in pixels; a pixel's centre is at 0.5.
        weights: (B, Q, heads, levels, points).

    Returns:
        (B, Q, heads * D).
    """
    batch, _, heads, channels = value.shape
    value, widths, starts = _pad_levels(value, spatial_shapes)
    # beyond the border lie zeros: places farther out are moved there
    x, y = (torch.minimum((places[..., i] - 0.5).clamp(min=-1), spatial_shapes[:, 1 - i, None])
            .flatten(3) for i in (0, 1))  # (B, Q, heads, levels * points)
    left, top = x.detach().floor(), y.detach().floor()
    right, low = x - left, y - top  # shares of the right and lower corners
    widths, starts = (v.repeat_interleave(places.shape[4]) for v in (widths, starts))
    rows = (top.int() + 1) * widths + (left.int() + 1 + starts)
    rows = rows + value.shape[1] * torch.arange(batch, dtype=torch.int32).view(-1, 1, 1, 1)
    rows = rows * heads + torch.arange(heads, dtype=torch.int32)[:, None]
    index = torch.cat([rows + step * heads for step in (0, 1, widths, widths + 1)], -1)
    upper, lower = weights.flatten(3) * (1 - low), weights.flatten(3) * low
    shares = torch.cat((upper * (1 - right), upper * right, lower * (1 - right), lower * right), -1)
    summed = _SumOfRows.apply(
        value.reshape(-1, channels), index.flatten(0, 2), shares.flatten(0, 2).to(value.dtype))
    return summed.view(batch, -1, heads * channels)


def _pad_levels(value: Tensor, spatial_shapes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Put zeros around each level: one row and column before it, two after.

    Args:
        value: (B, keys, heads, D).
        spatial_shapes: int64 (levels, 2), H and W.

    Returns:
        The padded values (B, more keys, heads, D); int32 (levels,) their widths and where each
        level begins.
    """
    sizes = spatial_shapes.tolist()
    levels = value.split([height * width for height, width in sizes], 1)
    padded = [
        F.pad(level.unflatten(1, size), (0, 0, 0, 0, 1, 2, 1, 2)).flatten(1, 2)
        for level, size in zip(levels, sizes, strict=True)]
    lengths = torch.tensor([level.shape[1] for level in padded], dtype=torch.int32)
    widths = torch.tensor([width + 3 for _, width in sizes], dtype=torch.int32)
    return torch.cat(padded, 1), widths, (lengths.cumsum(0) - lengths).int()


class _SumOfRows(torch.autograd.Function):
    """Weighted sums of rows, and their gradients without gathering rows in memory.

    Rows are (K, D), index int32 (R, S), weights (R, S); sums are (R, D).
    """

    @staticmethod
    def forward(ctx, rows: Tensor, index: Tensor, weights: Tensor) -> Tensor:
        ctx.save_for_backward(rows, index, weights)
        return F.embedding_bag(index, rows, mode="sum", per_sample_weights=weights)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, None, Tensor | None]:
        rows, index, weights = ctx.saved_tensors
        grad = grad.contiguous()
        grad_rows = grad_weights = None
        if ctx.needs_input_grad[0]:
            # transposed: each row gets the gradients of the sums it is in
            order = index.flatten().argsort()
            counts = torch.bincount(index.flatten(), minlength=len(rows))
            grad_rows = F.embedding_bag(
                order.div(index.shape[1], rounding_mode="floor"), grad, counts.cumsum(0) - counts,
                mode="sum", per_sample_weights=weights.flatten()[order])
        if ctx.needs_input_grad[2]:
            grad_weights = _products(grad, rows, index)
        return grad_rows, None, grad_weights


def _products(grad: Tensor, rows: Tensor, index: Tensor) -> Tensor:
    """Scalar products (R, S) of each sum's gradient with each of its rows."""
    starts = torch.arange(0, index.numel() + 1, index.shape[1], dtype=torch.int32)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        places = torch.sparse_csr_tensor(
            starts, index.flatten(), grad.new_zeros(index.numel()), (len(grad), len(rows)),
            check_invariants=False)
        return torch.sparse.sampled_addmm(places, grad, rows.t(), beta=0).values().view(index.shape)
