"""Queries in the last blocks: where they are, what they may attend to, and until when."""

import copy

import pytest
import torch
import torch.nn.functional as F
from tiny_adapters import IMAGES, NETWORKS, backbone, tokens_of
from tiny_encoder_only import ADAPTERS, LORA, QUERIES, REIN, VPT

from rein.errors import UserError
from rein.models.adapters import encoder_only
from rein.models.adapters.encoder_only import (
    EncoderOnlyQueries,
    draw_masked,
    masking_probability,
)


def seeded(*args, **kwargs):
    """Build a backbone whose masks differ from query to query."""
    built = backbone(*args, **kwargs)
    torch.manual_seed(3)
    for name, value in built.reins.named_parameters():
        if "mask_embed" in name:
            value.data += torch.randn_like(value) * 0.3
    return built


def predict(adapter, tokens, patches):
    """Compute queries, mask embeddings and mask features by the docstring's formula."""
    width = tokens.shape[-1]
    norm = adapter.norm
    tokens, patches = (F.layer_norm(x, (width,), norm.weight, norm.bias, norm.eps)
                       for x in (tokens, patches))
    maps = patches.transpose(1, 2).reshape(len(patches), width, 4, 4)
    for up, _, depthwise, last in adapter.upscale:
        maps = F.gelu(F.conv_transpose2d(maps, up.weight, up.bias, stride=2))
        maps = F.conv2d(maps, depthwise.weight, padding=1, groups=width).permute(0, 2, 3, 1)
        maps = F.layer_norm(maps, (width,), last.weight, last.bias, 1e-6).permute(0, 3, 1, 2)
    first, _, second, _, third = adapter.mask_embed
    return tokens, third(F.gelu(second(F.gelu(first(tokens))))), maps


def formula(built, masked=(), drawn=True):
    """Compute the predictions without hooks; `masked` lists the blocks with masks.

    `drawn` (m, 1) tells which queries are masked there.
    """
    adapter = built.reins
    network = copy.deepcopy(built.model)
    for module in network.modules():
        module._forward_hooks.clear()
        module._forward_pre_hooks.clear()
    tokens, rope = tokens_of(network, IMAGES)
    prefix, m, found = network.num_prefix_tokens, adapter.num_queries, []
    for index, block in enumerate(network.blocks):
        mask = None
        if index >= 2:
            if index == 2:
                queries = adapter.query_embed.expand(2, -1, -1)
                tokens = torch.cat((tokens[:, :prefix], queries, tokens[:, prefix:]), 1)
            found.append(predict(
                adapter, tokens[:, prefix:prefix + m], tokens[:, prefix + m:]))
            if index in masked:
                mask = torch.zeros(2, 1, tokens.shape[1], tokens.shape[1])
                _, embeds, feats = found[-1]
                logits = torch.einsum("bqc,bchw->bqhw", embeds, feats)
                small = F.interpolate(logits, (4, 4), mode="bilinear").flatten(2)
                mask[:, 0, prefix:prefix + m, prefix + m:][(small <= 0) & drawn] = -torch.inf
                assert small.gt(0).any() and small.le(0).any()
        if not rope and mask is None:
            tokens = block(tokens)
        else:
            tokens = block(tokens, attn_mask=mask, **rope)
    return [*found, predict(adapter, tokens[:, prefix:prefix + m], tokens[:, prefix + m:])]


@pytest.mark.parametrize("network", NETWORKS)
@torch.no_grad()
def test_inference_is_the_plain_network_with_queries_in_its_last_blocks(network):
    built = seeded(QUERIES, network)
    (found,) = built(IMAGES).queries
    for ours, expected in zip(found, formula(built)[-1], strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-5)
    assert found.feats.shape[-2:] == (16, 16)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize(("fraction", "masked"), [(0.0, (2, 3)), (0.5, (3,)), (1.0, ())])
@torch.no_grad()
def test_training_masks_attention_by_the_predictions_before_each_block(
        network, fraction, masked, progress):
    built = seeded(QUERIES, network).train()
    progress(fraction)
    found = built(IMAGES).queries
    assert len(found) == 3
    for ours, expected in zip(found, formula(built, masked), strict=True):
        torch.testing.assert_close(tuple(ours), expected, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_queries_that_are_not_drawn_attend_everywhere(monkeypatch):
    drawn = torch.tensor([True, False] * 3)[:, None]
    monkeypatch.setattr(
        encoder_only, "draw_masked", lambda index, *_: None if index else drawn.expand(2, 6, 1))
    built = seeded(QUERIES).train()
    found, expected = built(IMAGES).queries[-1], formula(built, (2,), drawn)[-1]
    torch.testing.assert_close(tuple(found), expected, rtol=1e-5, atol=1e-5)


def test_masks_are_annealed_block_after_block():
    steps = [0, 1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 1]
    for index in range(4):
        found = [masking_probability(step, index, 4) for step in steps]
        expected = [float(step < (index + 1.5) / 6) for step in steps]
        assert found == pytest.approx(expected, abs=1e-9), index
    assert masking_probability(2.5 / 6, 1, 4) == pytest.approx(0.5 ** 0.9)


def test_a_share_of_the_queries_is_masked_in_between(progress):
    progress(0.375)  # half of the first of two blocks' slope
    torch.manual_seed(0)
    masked = draw_masked(0, 2, torch.zeros(100, 50, 4))
    assert masked.shape == (100, 50, 1) and abs(masked.float().mean() - 0.5 ** 0.9) < 0.02
    assert draw_masked(1, 2, torch.zeros(100, 50, 4)).all()


@pytest.mark.parametrize("adapter", ADAPTERS)
@torch.no_grad()
def test_other_adapters_see_patches_only_and_their_order_does_not_matter(adapter):
    built = backbone(ADAPTERS[adapter])
    assert [tuple(m.shape) for m in built(IMAGES).maps] == [(2, 32, 4, 4)] * 4
    if adapter != "alone":
        one, other, last = ADAPTERS[adapter]["adapters"]
        again = backbone(dict(ADAPTERS[adapter], adapters=[other, one, last]))
        for ours, index in zip(built.reins.adapters, (1, 0, 2), strict=True):
            ours.load_state_dict(again.reins.adapters[index].state_dict())
        found, expected = built(IMAGES), again(IMAGES)
        for ours, theirs in zip((*found.maps, *found.queries[-1]),
                                (*expected.maps, *expected.queries[-1]), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_other_adapters_refine_no_queries_but_the_patches_of_the_masks():
    built, refined = backbone(dict(type="Combined", adapters=[REIN, QUERIES])), []
    rein, own = built.reins.adapters
    rein.scale.fill_(0.5)
    rein.register_forward_hook(lambda _, args, output: refined.append(output))
    (found,), prefix = built(IMAGES).queries, built.model.num_prefix_tokens
    assert [tokens.shape[1] for tokens in refined] == [prefix + 4 * 4] * 4
    _, _, expected = predict(own, own.query_embed, refined[-1][:, prefix:])
    torch.testing.assert_close(found.feats, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("adapters", [
    [QUERIES, REIN], [dict(type="Combined", adapters=[LORA, QUERIES]), LORA]])
def test_it_comes_last_in_a_combination(adapters):
    with pytest.raises(UserError, match="Name EncoderOnlyQueries last"):
        backbone(dict(type="Combined", adapters=adapters))


def gradients(built, autocast=False):
    torch.manual_seed(1)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        found = built.train()(IMAGES).queries
    sum((value.float() ** 2).mean() for one in found for value in one).backward()
    return {name: p.grad for name, p in built.named_parameters() if p.requires_grad}


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_checkpointed_blocks_give_the_same_gradients(adapter, progress):
    progress(0.3)  # some queries are masked: the repeated block must draw the same ones
    plain, checkpointed = (
        gradients(backbone(ADAPTERS[adapter], with_cp=cp)) for cp in (False, True))
    assert all(g is not None and g.any() for name, g in plain.items() if "lora_A" not in name)
    for name, gradient in plain.items():
        torch.testing.assert_close(checkpointed[name], gradient)


def test_bfloat16_trains():
    found = gradients(backbone(ADAPTERS["rein"], with_cp=True), autocast=True)
    assert all(g.isfinite().all() for g in found.values())


def test_state_round_trips_and_copies_are_independent():
    built = backbone(QUERIES)
    gradients(built)
    again, copied = backbone(QUERIES), copy.deepcopy(built)
    with torch.no_grad():
        built.reins.query_embed += 1
        again.load_state_dict(built.state_dict())
        expected, found, other = (b.eval()(IMAGES).queries[-1] for b in (built, again, copied))
    assert torch.equal(found.queries, expected.queries) and torch.equal(found.feats, expected.feats)
    assert not torch.equal(other.queries, expected.queries)


def test_the_norm_starts_from_the_pretrained_one():
    built = backbone(QUERIES)
    assert torch.equal(built.reins.norm.weight, built.model.norm.weight)
    assert built.reins.norm.eps == built.model.norm.eps == 1e-6
    assert not any(name.startswith("reins.final_norm") for name in built.state_dict())


@torch.no_grad()
def test_inference_can_be_exported():
    built = seeded(dict(type="Combined", adapters=[REIN, VPT, QUERIES]))

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.built = built

        def forward(self, images):
            return self.built(images).queries[-1].feats

    program = torch.export.export(Network().eval(), (IMAGES,))
    torch.testing.assert_close(program.module()(IMAGES), built(IMAGES).queries[-1].feats)


class MasklessBlock(torch.nn.Module):
    """A block whose attention takes no mask."""

    def __init__(self):
        super().__init__()
        self.attn = torch.nn.Identity()

    def forward(self, tokens, attn_mask=None):
        return self.attn(tokens)


def test_what_does_not_fit_is_refused_with_one_line():
    with pytest.raises(UserError, match=r"plain vision transformer.*\(4 stages\)"):
        EncoderOnlyQueries().attach(None, [[], [], [], []], 0)
    with pytest.raises(UserError, match="attention takes a mask; MasklessBlock of this backbone"):
        EncoderOnlyQueries(num_blocks=1).attach(None, [[MasklessBlock()]], 1)
    with pytest.raises(UserError, match="num_blocks=9, but the backbone has 4 blocks"):
        backbone(dict(QUERIES, num_blocks=9))
    with pytest.raises(UserError, match="EncoderOnlyQueries has no argument 'num_query'"):
        backbone(dict(type="EncoderOnlyQueries", num_query=9))
    with pytest.raises(UserError, match="Queries changes blocks.3, after the last map of blocks"):
        backbone(QUERIES, out_indices=[0, 1, 2, 2])
