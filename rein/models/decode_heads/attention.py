"""Mask2Former's decoder layer with PyTorch's fused attention and mmdet's modules.

Source: Cheng et al., Mask2Former (arXiv:2112.01527). mmcv's attention requests the attention
weights, which writes them all to memory although nothing reads them.
"""

import torch.nn.functional as F
from mmcv.cnn.bricks.transformer import MultiheadAttention
from mmdet.models.layers.transformer.mask2former_layers import Mask2FormerTransformerDecoderLayer
from torch import Tensor


def decode_layer(
    layer: Mask2FormerTransformerDecoderLayer,
    query: Tensor,
    query_pos: Tensor,
    key: Tensor,
    value: Tensor,
    blocked: Tensor,
) -> Tensor:
    """Refine queries with one decoder layer, as its own `forward` does.

    Args:
        layer: mmdet's module.
        query: (B, m, C).
        query_pos: (B, m, C).
        key: (B, n, C), positions added.
        value: (B, n, C).
        blocked: bool (B, m, n), True where a query must not attend.

    Returns:
        (B, m, C).
    """
    query = layer.norms[0](attend(layer.cross_attn, query, query + query_pos, key, value, blocked))
    placed = query + query_pos
    query = layer.norms[1](attend(layer.self_attn, query, placed, placed, query))
    return layer.norms[2](layer.ffn(query))


def attend(
    attention: MultiheadAttention,
    identity: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    blocked: Tensor | None = None,
) -> Tensor:
    """Apply fused attention with mmcv's weights, and add the identity.

    Args:
        attention: mmcv's wrapper of `torch.nn.MultiheadAttention`.
        identity: (B, m, C), added to the result.
        query: (B, m, C), positions added.
        key: (B, n, C), positions added.
        value: (B, n, C).
        blocked: bool (B, m, n), or None.

    Returns:
        (B, m, C).
    """
    inner = attention.attn
    biases = inner.in_proj_bias.chunk(3)
    query, key, value = (
        F.linear(x, weight, bias).unflatten(-1, (inner.num_heads, -1)).transpose(1, 2)
        for x, weight, bias in zip(
            (query, key, value), inner.in_proj_weight.chunk(3), biases, strict=True))
    out = F.scaled_dot_product_attention(
        query, key, value, attn_mask=None if blocked is None else ~blocked[:, None],
        dropout_p=inner.dropout if inner.training else 0.0)
    out = inner.out_proj(out.transpose(1, 2).flatten(2))
    return identity + attention.dropout_layer(attention.proj_drop(out))
