"""Confidence against accuracy: reliability bins, expected calibration error, flagged images.

Sources: Guo et al., On Calibration of Modern Neural Networks, ICML 2017 (arXiv:1706.04599), for the
error over equal bins of the predicted class's confidence.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from rein.errors import UserError

BINS = 15
"""Equal bins of confidence in (0, 1], as in the paper."""


def temperature_of(calibration: Mapping[str, Any] | None, source: object) -> float:
    """Read the temperature of a checkpoint's `calibration`; 1 without one.

    Args:
        calibration: From the checkpoint's meta.
        source: The checkpoint, named in messages.

    Raises:
        UserError: It is damaged.
    """
    if calibration is None:
        return 1.0
    value = calibration.get("temperature")
    if not isinstance(value, float) or not 0 < value < float("inf"):
        raise UserError(f"{source}: damaged, because its calibration has the temperature "
                        f"{value!r}. Calibrate again with tools/test.py --calibrate.")
    return value


def reliability_bins(confidence: np.ndarray, correct: np.ndarray, bins: int = BINS) -> np.ndarray:
    """Count predictions by confidence; bin m of M covers (m / M, (m + 1) / M].

    Args:
        confidence: Confidence of each prediction (N,), in [0, 1].
        correct: Whether it is right, bool (N,).
        bins: Number of bins M.

    Returns:
        float64 (3, M): predictions, their summed confidence, and the right ones.
    """
    places = np.clip(np.ceil(confidence * bins), 1, bins).astype(np.int64) - 1
    return np.stack([
        np.bincount(places, weights, bins) for weights in (None, confidence, correct)])


def expected_calibration_error(bins: np.ndarray) -> float:
    """Average the gap between accuracy and mean confidence over the predictions.

    Args:
        bins: As returned by `reliability_bins`, or a sum of such.

    Returns:
        The error in percent; NaN without predictions.
    """
    counts, sums, hits = bins
    with np.errstate(invalid="ignore"):
        return float(100 * np.abs(hits - sums).sum() / counts.sum())


class Reliability(NamedTuple):
    """Confidence and familiarity of a domain's images.

    Attributes:
        bins: float64 (3, M), the sum over the domain's pixels; see `reliability_bins`.
        shifts: Distance of each image's features from training, in units of the threshold;
            empty if the checkpoint has no statistics.
    """

    bins: np.ndarray
    shifts: np.ndarray

    @property
    def error(self) -> float:
        """Expected calibration error in percent."""
        return expected_calibration_error(self.bins)

    @property
    def confidence(self) -> float:
        """Mean confidence of the pixels in percent."""
        return float(100 * self.bins[1].sum() / self.bins[0].sum())

    @property
    def accuracy(self) -> float:
        """Share of the pixels whose class is right, in percent."""
        return float(100 * self.bins[2].sum() / self.bins[0].sum())

    @property
    def flagged(self) -> float:
        """Share of the images beyond the threshold in percent; NaN without statistics."""
        return float(100 * np.mean(self.shifts > 1)) if len(self.shifts) else float("nan")

    def measures(self) -> dict[str, Any]:
        """Return all measures as plain values: percent, and None without statistics."""
        counts, sums, hits = self.bins.tolist()
        return {
            "ECE": self.error, "confidence": self.confidence, "accuracy": self.accuracy,
            "flagged": self.flagged if len(self.shifts) else None,
            "bins": {"pixels": counts, "summed_confidence": sums, "correct": hits},
        }
