"""Targets choose linear layers by names or by a regular expression."""

import re

import pytest
import torch
from tiny_adapters import IMAGES, backbone

from rein.errors import UserError

EXPRESSION = r"blocks\.1\d\.attn\..*"
"""The example of docs/adapters.md."""


@pytest.mark.parametrize("kind", ["LoRA", "DoRA", "SoMA"])
def test_an_expression_that_matches_a_joined_layer_and_its_parts_means_the_parts(kind):
    by_expression = backbone(dict(type=kind, rank=2, targets=EXPRESSION), depth=12)
    by_names = backbone(
        dict(type=kind, rank=2, targets=["q", "k", "v", "proj"], blocks=[10, 12]), depth=12)
    assert by_expression.reins.projections[0].name == "blocks.10.attn.q"
    for one, other in zip(by_expression.reins.parameters(), by_names.reins.parameters(),
                          strict=True):
        one.data.copy_(other.data.normal_(std=0.1))
    with torch.no_grad():
        assert torch.equal(by_expression(IMAGES).maps[-1], by_names(IMAGES).maps[-1])
    folded = by_names.reins.fold()
    assert by_expression.reins.fold().keys() == folded.keys()
    assert all(torch.equal(folded[k], v) for k, v in by_expression.reins.fold().items())


def test_an_expression_may_mean_a_joined_layer_as_a_whole():
    found = backbone(dict(type="LoRA", rank=2, targets=r"blocks\.0\..*qkv")).reins.projections
    assert [p.name for p in found] == ["blocks.0.attn.qkv"] and found[0].whole


def test_names_that_overlap_are_refused():
    with pytest.raises(UserError, match="both blocks.0.attn.qkv and its part blocks.0.attn.q. Nam"):
        backbone(dict(type="LoRA", rank=2, targets=("q", "qkv")))


@pytest.mark.parametrize(("targets", "example"), [("q", "q"), (r"block\.1\..*", "fc1")])
def test_a_string_that_matches_nothing_is_explained(targets, example):
    message = (f"targets={targets!r} matches no linear layer of the backbone's blocks. A string is "
               "a regular expression for the whole name, such as 'blocks.0.attn.q'. For the last "
               f"parts of names, write a list, targets=['{example}']. Known: fc1, fc2, k,")
    with pytest.raises(UserError, match=re.escape(message)):
        backbone(dict(type="LoRA", targets=targets))
