"""The losses, costs and matches are mmdet's."""

import math
import sys

import pytest
import torch
from mmdet.models.task_modules import CrossEntropyLossCost
from mmengine.structures import InstanceData
from mmseg.models.decode_heads import Mask2FormerHead
from processes import in_processes
from tiny_encoder_only import encoder_only_model
from tiny_head import inputs, points_by_number, samples
from tiny_rein import batch, tiny

from rein.models.decode_heads import mask_losses


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


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("spoiled", ["mask_features", "mask_embeds", "cls_preds"])
def test_a_prediction_that_is_not_finite_reaches_the_loss(head, spoiled, value):
    """Also that of a single query: training then reports or skips the step."""
    decoded = mask_losses.Decoded(
        torch.randn(2, 1, 8, 20), torch.randn(2, 1, 8, 16), torch.randn(1, 16, 16, 16))
    getattr(decoded, spoiled)[..., 5, :] = value  # of one query, or one row of features
    gt = InstanceData(labels=torch.tensor([4, 9, 1]), masks=torch.rand(3, 16, 16).round().long())
    losses = mask_losses.mask2former_losses(head, decoded, [gt])
    assert not torch.isfinite(sum(losses.values()))


def losses_of_own_image(head):
    """Compute the losses of this process's image, then sum a tensor over all processes.

    Rank 0 has no labelled pixel. Rank 1 has four segments, or twelve for the head's eight queries.
    """
    torch.distributed.init_process_group("gloo")
    rank, sums, found = torch.distributed.get_rank(), [], []
    for classes in (4, 16):
        sample, = samples(1, classes=classes)
        if rank == 0:
            sample.gt_sem_seg.data[:] = 255
        torch.manual_seed(0)
        found.append(head.loss(inputs(1), [sample], None))
        sum(found[-1].values()).backward()
        same = torch.tensor([1.0, 2.0])
        torch.distributed.all_reduce(same)
        sums.append(same)
    missing = [name for name, p in head.named_parameters() if p.grad is None]
    return found, sums, missing


def test_a_process_without_labels_or_with_too_many_takes_part_in_all_communication(head, tmp_path):
    processes = in_processes(losses_of_own_image, 2, tmp_path, head)
    for found, sums, missing in processes:
        assert all(loss.isfinite() for losses in found for loss in losses.values())
        assert [one.tolist() for one in sums] == [[2, 4], [2, 4]]
        assert not missing
    torch.manual_seed(0)
    alone = head.loss(inputs(1), samples(1), None)
    for name in ("loss_mask", "loss_dice"):  # each segment weighs the same, whoever has it
        mean = sum(found[0][name] for found, *_ in processes) / 2
        torch.testing.assert_close(mean, alone[name])


@pytest.mark.parametrize("make", [tiny, encoder_only_model])
@torch.no_grad()
def test_losses_and_scores_are_computed_in_float32_in_autocast(make, monkeypatch):
    model, (images, labels) = make().eval(), batch()
    head, feats = model.decode_head, model.extract_feat(images)

    def is_on(*unused):
        return torch.is_autocast_enabled("cpu")

    monkeypatch.setattr(
        sys.modules[type(head).__module__], "mask2former_losses", lambda *_: dict(on=is_on()))
    monkeypatch.setattr(type(head), "_class_scores", is_on)
    with torch.autocast("cpu", torch.bfloat16):
        assert is_on() and not any(head.loss(feats, labels).values())
        assert not head.predict(feats, [{}], None)
