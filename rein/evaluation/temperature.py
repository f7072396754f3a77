"""Fit the temperature that makes a head's confidence match its accuracy.

Source: Guo et al., On Calibration of Modern Neural Networks, ICML 2017 (arXiv:1706.04599), section
4.2: one temperature, which changes no prediction, at the least negative log-likelihood.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from rein.evaluation.confidence import expected_calibration_error, reliability_bins

RANGE = (0.05, 20.0)
"""Temperatures that the fit may find."""

_STEPS = 40  # of bisection: the interval of 1 / T shrinks to 2e-11
_CHUNK = 100_000  # pixels at once, to bound memory


class Fit(NamedTuple):
    """How well confidence matches accuracy with a temperature.

    Attributes:
        temperature: Temperature T.
        nll: Mean negative log-likelihood of the true classes.
        ece: Expected calibration error in percent.
    """

    temperature: float
    nll: float
    ece: float


def log_scores(scores: Tensor) -> Tensor:
    """Return the logarithm of scores >= 0, finite for zero."""
    return scores.clamp_min(torch.finfo(torch.float32).tiny).log()


def fit_temperature(logits: Tensor, truth: Tensor) -> float:
    """Find the temperature T whose softmax(logits / T) gives the true classes most probability.

    The negative log-likelihood is convex in 1 / T, so its slope is zero at the minimum alone.

    Args:
        logits: Logits, or logarithms of scores, (N, C).
        truth: True classes (N,), int64.

    Returns:
        The temperature, within `RANGE`.
    """
    low, high = 1 / RANGE[1], 1 / RANGE[0]
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if _slope(logits, truth, middle) < 0:
            low = middle
        else:
            high = middle
    return 2 / (low + high)


def _slope(logits: Tensor, truth: Tensor, sharpness: float) -> float:
    """Differentiate the summed negative log-likelihood by the sharpness 1 / T."""
    total = 0.0
    for z, y in zip(logits.split(_CHUNK), truth.split(_CHUNK), strict=True):
        expected = ((z * sharpness).softmax(1) * z).sum(1)
        total += float((expected - z.gather(1, y[:, None])[:, 0]).double().sum())
    return total


def assess(logits: Tensor, truth: Tensor, temperature: float) -> Fit:
    """Measure likelihood and calibration error with a temperature; arguments as for the fit."""
    nll, bins = 0.0, 0.0
    for z, y in zip(logits.split(_CHUNK), truth.split(_CHUNK), strict=True):
        chances = (z / temperature).log_softmax(1)
        nll -= float(chances.gather(1, y[:, None]).double().sum())
        confidence, predicted = chances.exp().max(1)
        bins = bins + reliability_bins(
            confidence.numpy(), (predicted == y).numpy())
    return Fit(temperature, nll / len(truth), expected_calibration_error(bins))
