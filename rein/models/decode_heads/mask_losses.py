"""Mask2Former's matching and losses, all decoder layers at once.

The same costs, losses and distribution of sampled points as mmdet's loop over layers and images,
with three differences in how they are computed: logits at points are taken from features sampled
there instead of from full maps; one transfer to the host brings the costs of all matchings; full
maps are made of matched queries only. Random points are drawn once for all layers: those of the
matching per image, those of the losses per segment.

Sources: Cheng et al., Mask2Former (arXiv:2112.01527), section 3.3; mmdet's costs and losses.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from mmcv.ops import point_sample
from mmdet.models.task_modules import CrossEntropyLossCost
from mmdet.utils import reduce_mean
from mmengine.structures import InstanceData
from scipy.optimize import linear_sum_assignment
from torch import Tensor


class Decoded(NamedTuple):
    """What the decoder says before and after each of its layers, L in all.

    Attributes:
        cls_preds: (L, B, m, classes + 1), logits; the last class is "no object".
        mask_embeds: (L, B, m, C); their products with the features are the mask logits.
        mask_features: (B, C, h, w).
    """

    cls_preds: Tensor
    mask_embeds: Tensor
    mask_features: Tensor

    def mask_preds(self, layer: int) -> Tensor:
        """Mask logits (B, m, h, w) of one layer."""
        return torch.einsum("bqc,bchw->bqhw", self.mask_embeds[layer], self.mask_features)

    def per_layer(self) -> tuple[list[Tensor], list[Tensor]]:
        """Class logits and full mask logits of every layer, as mmdet's heads return them."""
        layers = range(len(self.cls_preds))
        return list(self.cls_preds), [self.mask_preds(layer) for layer in layers]


class Targets(NamedTuple):
    """The T segments of a batch, image after image.

    Attributes:
        counts: Of each image.
        image: int64 (T,), its place in the batch.
        label: int64 (T,).
        mask: (T, H, W), 0 or 1.
        query: int64 (L, T), the query matched to each in each layer.
    """

    counts: list[int]
    image: Tensor
    label: Tensor
    mask: Tensor
    query: Tensor


def mask2former_losses(head, decoded: Decoded, instances: list[InstanceData]) -> dict[str, Tensor]:
    """Compute the losses of every layer.

    Args:
        head: A `Mask2FormerHead`: its assigner, losses and numbers of points are used.
        decoded: The predictions.
        instances: Of each image, `labels` (G,) and `masks` (G, H, W); at most as many as queries.

    Returns:
        `loss_cls`, `loss_mask` and `loss_dice` of the last layer; of the others with "d0.", "d1."
        and so on before the name, as mmdet calls them.
    """
    targets = Targets(
        [len(gt.labels) for gt in instances],
        torch.cat([gt.labels.new_full(gt.labels.shape, b) for b, gt in enumerate(instances)]),
        torch.cat([gt.labels for gt in instances]),
        torch.cat([gt.masks for gt in instances]).to(decoded.mask_features.dtype),
        match(head, decoded, instances))
    losses = [_class_losses(head, decoded, targets), *_mask_losses(head, decoded, targets)]
    layers = len(decoded.cls_preds)
    prefixes = [*(f"d{i}." for i in range(layers - 1)), ""]
    return {
        f"{prefix}loss_{name}": values[i]
        for i, prefix in sorted(enumerate(prefixes), key=lambda item: item[1] != "")
        for name, values in zip(("cls", "mask", "dice"), losses, strict=True)
    }


@torch.no_grad()
def match(head, decoded: Decoded, instances: list[InstanceData]) -> Tensor:
    """Match each segment to a query, in each layer, at the least cost.

    Args:
        head: As for `mask2former_losses`.
        decoded: The predictions.
        instances: The segments.

    Returns:
        int64 (L, T): the query of each segment, image after image.
    """
    layers, _, queries, _ = decoded.cls_preds.shape
    costs = [_costs(head, decoded, b, gt).view(layers, queries, -1)
             for b, gt in enumerate(instances)]
    on_host = torch.cat([cost.flatten() for cost in costs]).cpu()  # waits for the device once
    matched = []
    for part, cost in zip(on_host.split([c.numel() for c in costs]), costs, strict=True):
        # transposed, rows are segments: their queries come in the segments' order
        matched.append(torch.stack([
            torch.from_numpy(linear_sum_assignment(layer.T)[1])
            for layer in part.view(cost.shape)]))
    return torch.cat(matched, 1).to(decoded.cls_preds.device, non_blocking=True)


def _costs(head, decoded: Decoded, image: int, gt: InstanceData) -> Tensor:
    """Cost (L * m, G) of matching each query of each layer to each segment of an image."""
    points = torch.rand(1, head.num_points, 2, device=gt.labels.device)
    feats = point_sample(decoded.mask_features[image, None], points)[0]
    wanted = point_sample(gt.masks[None].to(feats.dtype), points)[0]
    truth = InstanceData(labels=gt.labels, masks=wanted)
    # one layer's logits fit a CPU's cache; a GPU takes all at once
    layers = 1 if feats.device.type == "cpu" else len(decoded.cls_preds)
    found = []
    for scores, embeds in zip(decoded.cls_preds[:, image].split(layers),
                              decoded.mask_embeds[:, image].split(layers), strict=True):
        predicted = InstanceData(
            scores=scores.flatten(0, 1), masks=embeds.flatten(0, 1) @ feats)
        found.append(sum(
            _cross_entropy_cost(cost, predicted.masks, wanted)
            if type(cost) is CrossEntropyLossCost
            else cost(pred_instances=predicted, gt_instances=truth, img_meta={})
            for cost in head.assigner.match_costs))
    return torch.cat(found)


def _cross_entropy_cost(cost: CrossEntropyLossCost, logits: Tensor, wanted: Tensor) -> Tensor:
    """What mmdet's cost gives (n, G), with one logarithm per logit instead of two.

    Cross entropy with target t is softplus(x) - t x: only the product depends on both.
    """
    logits = logits.float()
    shared = F.softplus(logits).mean(1, keepdim=True)
    return cost.weight * (shared - logits @ wanted.float().T / logits.shape[1])


def _class_losses(head, decoded: Decoded, targets: Targets) -> list[Tensor]:
    """Cross entropy of the queries' classes; those without a segment have "no object"."""
    cls_preds = decoded.cls_preds
    labels = targets.label.new_full(cls_preds.shape[:3], head.num_classes)
    layer = torch.arange(len(cls_preds), device=labels.device)[:, None]
    labels[layer, targets.image, targets.query] = targets.label.expand_as(targets.query)
    weights = cls_preds.new_tensor(head.class_weight)[labels.flatten(1)].sum(1)
    return [
        head.loss_cls(pred, label, torch.ones_like(label), avg_factor=weight)
        for pred, label, weight in zip(
            cls_preds.flatten(1, 2), labels.flatten(1), weights, strict=True)]


def _mask_losses(head, decoded: Decoded, targets: Targets) -> tuple[list[Tensor], list[Tensor]]:
    """Mask and dice losses of the matched queries at points where they are uncertain."""
    layers, total = targets.query.shape
    if not total:  # no labelled pixel in the whole batch
        nothing = 0 * (decoded.mask_embeds.sum() + decoded.mask_features.sum())
        return [nothing] * layers, [nothing] * layers
    masks = _matched_masks(decoded, targets)
    points = _uncertain_points(head, masks.detach())
    predicted = point_sample(masks.flatten(0, 1)[:, None], points.flatten(0, 1))
    predicted = predicted.view(total, layers, -1).transpose(0, 1)
    # every segment is looked at in every layer: its mask is read once
    wanted = point_sample(targets.mask[:, None], points.flatten(1, 2))
    wanted = wanted.view(total, layers, -1).transpose(0, 1)
    # the mean over processes, as gradients are averaged over them
    count = reduce_mean(predicted.new_tensor(float(total))).clamp(min=1)
    mask = [head.loss_mask(p.flatten(), w.flatten(), avg_factor=count * head.num_points)
            for p, w in zip(predicted, wanted, strict=True)]
    dice = [head.loss_dice(p, w, avg_factor=count)
            for p, w in zip(predicted, wanted, strict=True)]
    return mask, dice


def _matched_masks(decoded: Decoded, targets: Targets) -> Tensor:
    """Mask logits (T, L, h, w) of the queries that have a segment."""
    layer = torch.arange(len(targets.query), device=targets.query.device)
    embeds = decoded.mask_embeds[layer, targets.image[:, None], targets.query.T]  # (T, L, C)
    return torch.cat([torch.einsum("tlc,chw->tlhw", part, feats) for part, feats in zip(
        embeds.split(targets.counts), decoded.mask_features, strict=True)])


@torch.no_grad()
def _uncertain_points(head, masks: Tensor) -> Tensor:
    """Draw points (T, L, P, 2), x and y from 0 to 1, more where masks (T, L, h, w) are uncertain.

    As mmdet's `get_uncertain_point_coords_with_randomness`: of more points than needed those with
    the smallest logits, and some at random. Source: PointRend (arXiv:1912.08193), section 3.1.
    """
    total, layers = masks.shape[:2]
    drawn = torch.rand(
        total, int(head.num_points * head.oversample_ratio), 2, device=masks.device)
    uncertain = int(head.num_points * head.importance_sample_ratio)
    chosen = point_sample(masks, drawn).abs().topk(
        uncertain, largest=False, sorted=False).indices  # (T, L, uncertain)
    segment = torch.arange(total, device=masks.device)[:, None, None]
    at_random = torch.rand(total, 1, head.num_points - uncertain, 2, device=masks.device)
    return torch.cat((drawn[segment, chosen], at_random.expand(-1, layers, -1, -1)), 2)
