import pytest
import torch
from tiny_backbone import ADAPTER, SMALL

from rein.errors import UserError
from rein.models import LoRAReins, Reins, ReinsDinoVisionTransformer


def small(cls=Reins, **kwargs):
    torch.manual_seed(0)
    arguments = dict(
        num_layers=3, embed_dims=8, patch_size=16, query_dims=6, token_length=5, **kwargs)
    return cls(**arguments)


@pytest.mark.parametrize(("options", "scale"), [
    (dict(scale_init=0.5), 0.5), (dict(scale_init=0.5, use_softmax=False), 0.5),
    (dict(zero_mlp_delta_f=True), 1), ({}, torch.linspace(-1, 2, 8)),
], ids=["softmax", "products", "zero", "vector"])
def test_refinement_follows_the_papers_formula(options, scale):
    adapter, feats = small(**options), torch.randn(2, 7, 8)
    torch.nn.init.normal_(adapter.mlp_delta_f.weight)
    if not options:
        adapter.scale.data = scale  # a subclass may have one for each channel
    tokens, patches = adapter.learnable_tokens[1], feats[:, 1:]
    attention = patches @ tokens.T
    if adapter.use_softmax:
        attention = torch.softmax(attention / 8**0.5, dim=-1)
    weight, bias = adapter.mlp_token2feat.weight, adapter.mlp_token2feat.bias
    delta = attention[..., 1:] @ (tokens[1:] @ weight.T + bias)
    weight, bias = adapter.mlp_delta_f.weight, adapter.mlp_delta_f.bias
    expected = patches + scale * ((delta + patches) @ weight.T + bias)
    torch.testing.assert_close(adapter(feats, 1)[:, 1:], expected)


def test_prefix_tokens_pass_unchanged():
    adapter, feats = small(), torch.randn(2, 9, 8)
    assert torch.equal(adapter(feats, 0, num_prefix_tokens=5)[:, :5], feats[:, :5])


def test_queries_are_interleaved_maximum_mean_and_last():
    adapter = small()
    per_layer = adapter.transform(adapter.learnable_tokens)
    rows = torch.empty(5, 18)
    rows[:, 0::3], rows[:, 1::3], rows[:, 2::3] = (
        per_layer.amax(0), per_layer.mean(0), per_layer[-1])
    torch.testing.assert_close(adapter.queries(), adapter.merge(rows))


def test_low_rank_tokens_are_the_product_of_their_factors():
    adapter = small(LoRAReins, lora_dim=2)
    expected = adapter.learnable_tokens_a[2] @ adapter.learnable_tokens_b[2]
    torch.testing.assert_close(adapter.tokens(2), expected)
    torch.testing.assert_close(adapter.tokens()[2], expected)


def test_zero_mlp_delta_f_starts_as_identity_without_a_scale_parameter():
    adapter, feats = small(zero_mlp_delta_f=True), torch.randn(1, 4, 8)
    assert torch.equal(adapter(feats, 0), feats)
    assert "scale" not in dict(adapter.named_parameters())


def test_parameter_counts_are_the_published_ones_for_every_rank():
    counts = {4: 2_666_369, 8: 2_774_273, 16: 2_990_081, 32: 3_421_697, 64: 4_284_929}
    for rank, expected in counts.items():
        with torch.device("meta"):
            adapter = LoRAReins(num_layers=24, embed_dims=1024, patch_size=16, lora_dim=rank)
        assert sum(p.numel() for p in adapter.parameters()) == expected


def test_an_adapter_of_another_depth_is_refused():
    with pytest.raises(UserError, match="num_layers=4.*2 blocks"):
        ReinsDinoVisionTransformer(ADAPTER, **{**SMALL, "depth": 2})
