"""The class of each pixel and its confidence, from the scores of a head.

Source: Guo et al., "On Calibration of Modern Neural Networks", arXiv:1706.04599, for the
temperature.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from mmdet.models.dense_heads import MaskFormerHead
from torch import Tensor, nn


class Pixels(NamedTuple):
    """Classes and their confidence.

    Attributes:
        seg_map: int64 (H, W); ties go to the first class.
        confidence: Probability of that class, float32 (H, W) in [0, 1].
    """

    seg_map: Tensor
    confidence: Tensor


def gives_scores(head: nn.Module) -> bool:
    """Tell whether a head's output is scores >= 0, as a mask head's, instead of logits."""
    return isinstance(head, MaskFormerHead)


def confident_argmax(
    outputs: Tensor,
    size: tuple[int, int],
    are_scores: bool,
    temperature: float = 1.0,
    align_corners: bool = False,
) -> Pixels:
    """Find each pixel's best class and its probability.

    With scores s_c, of logits the exponential, and temperature T:

        p_c = s_c^(1/T) / sum_k s_k^(1/T)

    Args:
        outputs: A head's output for one image, (classes, h, w).
        size: (H, W) to resize the output to, bilinearly.
        are_scores: See `gives_scores`.
        temperature: T > 0; above 1, confidence falls.
        align_corners: As for `torch.nn.functional.interpolate`.
    """
    outputs = outputs.float()
    seg_map, best = _best(outputs, size, align_corners)
    tiny = torch.finfo(best.dtype).tiny
    total = torch.zeros_like(best)
    for one in outputs:
        one = _resized(one, size, align_corners)
        # relative to the best, so that neither powers nor exponentials overflow
        if are_scores:
            relative = one.clamp(min=tiny) / best.clamp(min=tiny)
            # on a CPU, a logarithm and an exponential take half the time of a power
            total += relative if temperature == 1 else relative.log_().div_(temperature).exp_()
        else:
            total += ((one - best) / temperature).exp_()
    return Pixels(seg_map, total.reciprocal_().clamp_(max=1))


def resized_argmax(outputs: Tensor, size: tuple[int, int], align_corners: bool = False) -> Tensor:
    """Find each pixel's best class without storing the resized outputs of all classes.

    Args:
        outputs: Scores or logits (classes, h, w).
        size: (H, W) to resize to bilinearly.
        align_corners: As for `torch.nn.functional.interpolate`.

    Returns:
        int64 map of `size`; ties go to the first class.
    """
    return _best(outputs, size, align_corners)[0]


def _best(outputs: Tensor, size: tuple[int, int], align_corners: bool) -> tuple[Tensor, Tensor]:
    """Return each pixel's best class and its output, both of `size`."""
    best = outputs.new_full(tuple(size), -torch.inf)
    seg_map = torch.zeros(tuple(size), dtype=torch.int64, device=outputs.device)
    # on a CPU, a running maximum is also several times faster than torch's argmax over classes
    for index, one in enumerate(outputs):
        one = _resized(one, size, align_corners)
        seg_map.masked_fill_(one > best, index)
        torch.maximum(best, one, out=best)
    return seg_map, best


def _resized(one: Tensor, size: tuple[int, int], align_corners: bool) -> Tensor:
    """Resize a map (h, w) to `size` (H, W) bilinearly."""
    if tuple(one.shape) == tuple(size):
        return one
    return F.interpolate(
        one[None, None], tuple(size), mode="bilinear", align_corners=align_corners)[0, 0]
