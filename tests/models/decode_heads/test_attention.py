import torch
from tiny_head import gradients

from rein.models.decode_heads.attention import attend, decode_layer


def test_a_decoder_layer_equals_mmdets_forward_and_backward(head):
    layer = head.transformer_decoder.layers[0]
    torch.manual_seed(0)
    query, query_pos = torch.randn(2, 2, 8, 16, requires_grad=True)
    key, position = torch.randn(2, 2, 30, 16, requires_grad=True)
    blocked = torch.rand(2, 8, 30) < 0.5
    expected = layer(
        query=query, key=key, value=key, query_pos=query_pos, key_pos=position,
        cross_attn_mask=blocked.repeat_interleave(layer.cross_attn.num_heads, 0))
    found = decode_layer(layer, query, query_pos, key + position, key, blocked)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    leaves = [query, query_pos, key, position, *layer.parameters()]
    for one, other in zip(gradients(found, leaves), gradients(expected, leaves), strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_dropout_of_attention_acts_in_training_only(head):
    attention = head.transformer_decoder.layers[0].self_attn
    attention.attn.dropout = 0.5
    query = torch.randn(1, 8, 16)
    still, moving = ([attend(attention.train(mode), query, query, query, query) for _ in range(2)]
                     for mode in (False, True))
    assert torch.equal(*still) and not torch.equal(*moving)
