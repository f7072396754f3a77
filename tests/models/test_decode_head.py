"""Each fast path of the head gives the results of mmdet's and mmcv's own modules."""

import pytest
import torch
from conftest import build, tiny_model_config
from mmcv.ops.multi_scale_deform_attn import multi_scale_deformable_attn_pytorch
from mmdet.models.task_modules import CrossEntropyLossCost
from mmengine.structures import InstanceData, PixelData
from mmseg.models.decode_heads import Mask2FormerHead
from mmseg.structures import SegDataSample

from rein.models.decode_heads import deformable_attention, mask_losses
from rein.models.decode_heads.attention import decode_layer
from rein.models.decode_heads.pixel_decoder import decode_pixels
from rein.models.pyramid import Pyramid

SHAPES = torch.tensor([(3, 5), (6, 10), (12, 20)])


@pytest.fixture
def head():
    torch.manual_seed(0)
    return build(tiny_model_config()).decode_head


def inputs(batch=2, size=64):
    generator = torch.Generator().manual_seed(1)
    maps = tuple(torch.randn(batch, 32, size // s, size // s, generator=generator)
                 for s in (4, 8, 16, 32))
    sizes = [tuple(x.shape[-2:]) for x in maps]
    return Pyramid(maps, sizes, torch.randn(8, 16, generator=generator))


def samples(batch=2, size=64, classes=4):
    coarse = torch.randint(0, classes, (batch, 4, 4), generator=torch.Generator().manual_seed(2))
    labels = coarse.repeat_interleave(size // 4, 1).repeat_interleave(size // 4, 2)
    labels[:, :5] = 255
    return [SegDataSample(gt_sem_seg=PixelData(data=label[None])) for label in labels]


def gradients(output, leaves):
    weight = torch.linspace(-1, 1, output.numel()).view_as(output)
    return torch.autograd.grad((output * weight).sum(), leaves)


@pytest.mark.parametrize("way", ["_with_bags", "_with_grid_sample"])
def test_deformable_attention_equals_mmcvs_forward_and_backward(way):
    """For several images, and for places on and beyond the border, too."""
    torch.manual_seed(0)
    value = torch.randn(2, int(SHAPES.prod(1).sum()), 2, 8, requires_grad=True)
    places = torch.rand(2, 30, 2, 3, 4, 2) * 2 - 0.5  # relative to the level's size
    places[:, 0] *= 20  # far outside
    places.requires_grad_()
    weights = torch.rand(2, 30, 2, 3, 4, requires_grad=True)
    expected = multi_scale_deformable_attn_pytorch(value, SHAPES, places, weights)
    sizes = [tuple(shape) for shape in SHAPES.tolist()]
    found = getattr(deformable_attention, way)(
        value, sizes, places * SHAPES.flip(-1)[:, None], weights)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    leaves = value, places, weights
    for one, other in zip(gradients(found, leaves), gradients(expected, leaves), strict=True):
        torch.testing.assert_close(one, other, atol=2e-4, rtol=1e-4)


def test_the_pixel_decoder_equals_mmdets_forward_and_backward(head):
    """Maps are resized inside our decoder, but before mmdet's."""
    decoder = head.pixel_decoder
    for parameter in decoder.parameters():
        parameter.data.copy_(torch.randn(
            parameter.shape, generator=torch.Generator().manual_seed(parameter.numel())) * 0.2)
    torch.manual_seed(0)
    native = [torch.randn(2, 32, 5, 7, requires_grad=True) for _ in range(4)]
    pyramid = Pyramid(native, [(20, 28), (10, 14), (5, 7), (2, 4)])
    found, expected = decode_pixels(decoder, pyramid), decoder(tuple(pyramid))
    leaves = [*native, *decoder.parameters()]
    for one, other in ((found.mask_features, expected[0]),
                       *zip(found.memories, expected[1], strict=True)):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)
    for one, other in zip(gradients(found.mask_features, leaves),
                          gradients(expected[0], leaves), strict=True):
        torch.testing.assert_close(one, other, atol=1e-3 * other.abs().max().item(), rtol=1e-3)


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


def test_images_without_labels_give_finite_losses(head):
    for batch in (samples(classes=1), samples()):
        batch[0].gt_sem_seg.data[:] = 255
        losses = head.loss(inputs(), batch, None)
        assert all(torch.isfinite(loss) for loss in losses.values())
        sum(losses.values()).backward()
    both = samples()
    for sample in both:
        sample.gt_sem_seg.data[:] = 255
    assert all(torch.isfinite(loss) for loss in head.loss(inputs(), both, None).values())


def test_more_segments_than_queries_are_left_to_mmdet(head):
    losses = head.loss(inputs(), samples(classes=19), None)
    assert all(torch.isfinite(loss) for loss in losses.values())
