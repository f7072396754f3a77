"""Mask2Former's matching and losses for all decoder layers at once.

Costs, losses and the distribution of sampled points equal those of mmdet's loop over layers and
images, with three differences in computation: logits at points come from features sampled there
instead of from full maps; the costs of all matchings reach the host in one transfer; full maps are
computed for matched queries only. Random points are drawn once for all layers: per image for the
matching, per segment for the losses.

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
    """The decoder's predictions before the first and after every layer, L in all.

    Attributes:
        cls_preds: (L, B, m, classes + 1), logits; the last class is "no object".
        mask_embeds: (L, B, m, C); their products with the features are the mask logits.
        mask_features: (B, C, h, w).
    """

    cls_preds: Tensor
    mask_embeds: Tensor
    mask_features: Tensor

    def mask_preds(self, layer: int) -> Tensor:
        """Compute the mask logits (B, m, h, w) of one layer."""
        return torch.einsum("bqc,bchw->bqhw", self.mask_embeds[layer], self.mask_features)

    def per_layer(self) -> tuple[list[Tensor], list[Tensor]]:
        """Return the class logits and full mask logits of every layer, like mmdet's heads."""
        layers = range(len(self.cls_preds))
        return list(self.cls_preds), [self.mask_preds(layer) for layer in layers]


class Targets(NamedTuple):
    """The T segments of a batch, image after image.

    Attributes:
        counts: Segments per image.
        image: int64 (T,), index in the batch of each segment's image.
        label: int64 (T,), class of each segment.
        mask: (T, H, W), 0 or 1.
        query: int64 (L, T), query matched to each segment in each layer.
    """

    counts: list[int]
    image: Tensor
    label: Tensor
    mask: Tensor
    query: Tensor


def mask2former_losses(head, decoded: Decoded, instances: list[InstanceData]) -> dict[str, Tensor]:
    """Compute the losses of every layer.

    Args:
        head: A `Mask2FormerHead`, for its assigner, losses and numbers of points.
        decoded: The predictions.
        instances: One per image, with `labels` (G,) and `masks` (G, H, W); G must not exceed the
            number of queries.

    Returns:
        `loss_cls`, `loss_mask` and `loss_dice` of the last layer; those of earlier layers are
        prefixed "d0.", "d1." and so on, as in mmdet.
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
    """Match each segment to a query at the least total cost, for each layer.

    Args:
        head: As for `mask2former_losses`.
        decoded: The predictions.
        instances: As for `mask2former_losses`.

    Returns:
        int64 (L, T): the query of each segment, image after image.
    """
    layers, _, queries, _ = decoded.cls_preds.shape
    costs = [_costs(head, decoded, b, gt).view(layers, queries, -1)
             for b, gt in enumerate(instances)]
    on_host = torch.cat([cost.flatten() for cost in costs]).cpu()  # the only wait for the device
    # the matching refuses NaN; as the least cost, it is matched, and the loss shows it
    least = torch.finfo(on_host.dtype).min
    on_host = on_host.nan_to_num(nan=least, neginf=least)
    matched = []
    for part, cost in zip(on_host.split([c.numel() for c in costs]), costs, strict=True):
        # transposed, so that rows are segments and the queries come in their order
        matched.append(torch.stack([
            torch.from_numpy(linear_sum_assignment(layer.T)[1])
            for layer in part.view(cost.shape)]))
    return torch.cat(matched, 1).to(decoded.cls_preds.device, non_blocking=True)


def _costs(head, decoded: Decoded, image: int, gt: InstanceData) -> Tensor:
    """Compute the cost (L * m, G) of each query of each layer for each segment of an image."""
    points = torch.rand(1, head.num_points, 2, device=gt.labels.device)
    feats = point_sample(decoded.mask_features[image, None], points)[0]
    wanted = point_sample(gt.masks[None].to(feats.dtype), points)[0]
    truth = InstanceData(labels=gt.labels, masks=wanted)
    # one layer's logits fit into a CPU's cache; a GPU computes all layers at once
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
    """Compute mmdet's cost (n, G) with one logarithm per logit instead of two.

    Cross entropy with target t is softplus(x) - t x: only the product depends on both.
    """
    logits = logits.float()
    shared = F.softplus(logits).mean(1, keepdim=True)
    return cost.weight * (shared - logits @ wanted.float().T / logits.shape[1])


def _class_losses(head, decoded: Decoded, targets: Targets) -> list[Tensor]:
    """Compute the cross entropy of the queries' classes; unmatched ones are "no object"."""
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
    """Compute the mask and dice losses of the matched queries at uncertain points."""
    layers, total = targets.query.shape
    # the mean over processes, because gradients are averaged over them; every process takes part
    count = reduce_mean(decoded.mask_embeds.new_tensor(float(total))).clamp(min=1)
    if not total:  # no labelled pixel in the whole batch
        nothing = 0 * (decoded.mask_embeds.sum() + decoded.mask_features.sum())
        return [nothing] * layers, [nothing] * layers
    masks = _matched_masks(decoded, targets)
    points = _uncertain_points(head, masks.detach())
    predicted = point_sample(masks.flatten(0, 1)[:, None], points.flatten(0, 1))
    predicted = predicted.view(total, layers, -1).transpose(0, 1)
    # sample each segment's mask once for all layers
    wanted = point_sample(targets.mask[:, None], points.flatten(1, 2))
    wanted = wanted.view(total, layers, -1).transpose(0, 1)
    mask = [head.loss_mask(p.flatten(), w.flatten(), avg_factor=count * head.num_points)
            for p, w in zip(predicted, wanted, strict=True)]
    dice = [head.loss_dice(p, w, avg_factor=count)
            for p, w in zip(predicted, wanted, strict=True)]
    return mask, dice


def _matched_masks(decoded: Decoded, targets: Targets) -> Tensor:
    """Compute the mask logits (T, L, h, w) of the matched queries."""
    layer = torch.arange(len(targets.query), device=targets.query.device)
    embeds = decoded.mask_embeds[layer, targets.image[:, None], targets.query.T]  # (T, L, C)
    return torch.cat([torch.einsum("tlc,chw->tlhw", part, feats) for part, feats in zip(
        embeds.split(targets.counts), decoded.mask_features, strict=True)])


@torch.no_grad()
def _uncertain_points(head, masks: Tensor) -> Tensor:
    """Draw points (T, L, P, 2), x and y from 0 to 1, more where masks (T, L, h, w) are uncertain.

    Like mmdet's `get_uncertain_point_coords_with_randomness`: draw more points than needed, keep
    those with the smallest absolute logits, and add some at random. Source: PointRend
    (arXiv:1912.08193), section 3.1.
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
