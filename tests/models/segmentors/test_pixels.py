"""Confidence is the normalised score of the predicted class, at any temperature and size."""

import pytest
import torch
import torch.nn.functional as F
from mmdet.models.dense_heads import MaskFormerHead
from mmseg.models.decode_heads import FCNHead

from rein.models.decode_heads import EncoderOnlyHead, ReinMask2FormerHead
from rein.models.segmentors.pixels import confident_argmax, gives_scores

SIZE = (30, 45)


def outputs(are_scores):
    seeded = torch.Generator().manual_seed(0)
    return (torch.rand(5, 12, 17, generator=seeded) if are_scores
            else 20 * torch.randn(5, 12, 17, generator=seeded))


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
@pytest.mark.parametrize("are_scores", [True, False])
def test_confidence_follows_the_formula(are_scores, temperature):
    given = outputs(are_scores)
    full = F.interpolate(given[None], SIZE, mode="bilinear")[0].double()
    logits = full.log() if are_scores else full
    expected = (logits / temperature).softmax(0).max(0)
    found = confident_argmax(given, SIZE, are_scores, temperature)
    assert torch.equal(found.seg_map, expected.indices)
    assert found.confidence.dtype == torch.float32
    torch.testing.assert_close(found.confidence.double(), expected.values, atol=1e-5, rtol=0)


@pytest.mark.parametrize("given, are_scores", [
    (torch.zeros(3, 4, 4), True), (torch.tensor([1e30, 1e-30, 0.0])[:, None, None], True),
    (torch.tensor([900.0, -900.0, 0.0])[:, None, None], False)])
def test_extreme_scores_give_finite_confidence(given, are_scores):
    found = confident_argmax(given.expand(3, 4, 4), (8, 8), are_scores, 0.1).confidence
    assert ((found >= 0) & (found <= 1)).all()


def test_mask_heads_give_scores_and_linear_heads_logits():
    for head in (ReinMask2FormerHead, EncoderOnlyHead, MaskFormerHead):
        assert gives_scores(head.__new__(head))
    assert not gives_scores(FCNHead.__new__(FCNHead))
