"""The losses, costs and matches are mmdet's."""

import torch
from mmdet.models.task_modules import CrossEntropyLossCost
from mmengine.structures import InstanceData
from mmseg.models.decode_heads import Mask2FormerHead
from tiny_head import inputs, samples

from rein.models.decode_heads import mask_losses


def points_by_number(*shape, device=None):
    """Draw like `torch.rand` (..., P, 2), but always the same points for the same P."""
    shape = torch.Size(shape[0] if len(shape) == 1 else shape)
    points = torch.empty(shape[-2:]).uniform_(generator=torch.Generator().manual_seed(shape[-2]))
    return points.expand(shape).clone()


def test_losses_and_gradients_equal_mmdets_at_equal_points(head, monkeypatch):
    """Both match and compare masks at random points, but draw them in different orders."""
    head.num_points = 1500
    monkeypatch.setattr(torch, "rand", points_by_number)
    losses, expected = head.loss(inputs(), samples(), None), Mask2FormerHead.loss(
        head, inputs(), samples(), None)
    assert list(losses) == list(expected)
    for name, loss in losses.items():
        torch.testing.assert_close(loss, expected[name].sum(), atol=1e-6, rtol=1e-4)
    parameters = dict(head.named_parameters())
    found, wanted = (
        torch.autograd.grad(sum(each.values()), list(parameters.values()), allow_unused=True,
                            materialize_grads=True) for each in (losses, expected))
    for name, one, other in zip(parameters, found, wanted, strict=True):
        allowed = 1e-3 * other.abs().max().item()
        torch.testing.assert_close(
            one, other, atol=max(allowed, 1e-6), rtol=1e-3, msg=lambda text, n=name: f"{n}: {text}")


def test_the_cross_entropy_cost_equals_mmdets():
    cost = CrossEntropyLossCost(weight=5.0)
    logits, wanted = 10 * torch.randn(7, 50), (torch.rand(3, 50) < 0.5).float()
    expected = cost(InstanceData(masks=logits), InstanceData(masks=wanted))
    found = mask_losses._cross_entropy_cost(cost, logits, wanted)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-5)


def test_matching_finds_the_least_cost(head):
    """Masks identify each segment's query clearly, in any order."""
    head.num_points = 400
    masks = torch.zeros(3, 16, 16)
    for i in range(3):
        masks[i, :, 5 * i:5 * i + 5] = 1
    features = 20 * masks[None] - 10  # (1, 3, h, w): channel i is the mask of segment i
    embeds = torch.zeros(2, 1, 8, 3)
    order = torch.tensor([[6, 0, 3], [1, 7, 2]])  # the query of each segment in two layers
    for layer, queries in enumerate(order):
        embeds[layer, 0, queries] = torch.eye(3)
    decoded = mask_losses.Decoded(torch.zeros(2, 1, 8, 20), embeds, features)
    gt = InstanceData(labels=torch.tensor([4, 9, 1]), masks=masks.long())
    assert torch.equal(mask_losses.match(head, decoded, [gt]), order)
