"""Domain shift of an image: the distance of its features from those of the training images.

Sources: Lee et al., A Simple Unified Framework for Detecting Out-of-Distribution Samples, NeurIPS
2018 (arXiv:1807.03888) for the Mahalanobis distance of features; Ledoit and Wolf, A
Well-Conditioned Estimator for Large-Dimensional Covariance Matrices, 2004, for the covariance.
NumPy alone, as a predictor without torch needs it as well.
"""

import base64
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from rein.errors import UserError, one_line

AXES = 64
"""Directions whose variance is stored; on the toy, all 192 give the same decisions."""

QUANTILE = 0.99
"""Share of the held-out source images below the threshold."""


_SMALLEST = 1e-12  # variance and threshold, for images that are all the same


@dataclass(frozen=True, eq=False)
class FeatureStatistics:
    """Mean and shrunk covariance of the training images' features, and a threshold.

    The covariance has the variances `variances` along `axes`, and `rest` in all other directions.

    Args:
        mean: float32 (C,).
        axes: Orthonormal rows, float32 (K, C).
        variances: float32 (K,), all positive.
        rest: Variance in the other directions.
        threshold: Distance of an unfamiliar image.
        images: Training images they come from.
        held_out: Images that the threshold comes from.
    """

    mean: np.ndarray
    axes: np.ndarray
    variances: np.ndarray
    rest: float
    threshold: float = 1.0
    images: int = 0
    held_out: int = 0

    def distance(self, features: np.ndarray) -> np.ndarray:
        """Compute the Mahalanobis distance of features (..., C), divided by sqrt(C): (...).

        Raises:
            UserError: The features have another number of channels.
        """
        channels = len(self.mean)
        if features.shape[-1] != channels:
            raise UserError(f"the checkpoint's feature_statistics have {channels} channels, but "
                            f"the backbone's last map has {features.shape[-1]}. Calibrate again "
                            "with tools/test.py --calibrate.")
        centred = features.astype(np.float64) - self.mean
        along = centred @ self.axes.T
        across = np.maximum((centred**2).sum(-1) - (along**2).sum(-1), 0)
        return np.sqrt(((along**2 / self.variances).sum(-1) + across / self.rest) / channels)

    def shift(self, features: np.ndarray) -> float:
        """Return the distance of one image's features (C,) in units of the threshold."""
        return float(self.distance(features) / self.threshold)

    def with_threshold(self, features: np.ndarray) -> "FeatureStatistics":
        """Set the threshold from held-out source images' features (N, C)."""
        distances = self.distance(features)
        threshold = max(float(np.quantile(distances, QUANTILE)), _SMALLEST)
        return dataclasses.replace(self, threshold=threshold, held_out=len(distances))

    def to_meta(self) -> dict[str, Any]:
        """Return plain values for a checkpoint's meta; arrays become base64 of float32."""
        return {name: _encode(value) if isinstance(value, np.ndarray) else value
                for name, value in vars(self).items()}

    @classmethod
    def from_meta(cls, meta: Mapping[str, Any], source: object) -> "FeatureStatistics":
        """Read the values of `to_meta`.

        Args:
            meta: `feature_statistics` of a checkpoint's meta.
            source: The checkpoint, named in messages.

        Raises:
            UserError: They are damaged.
        """
        try:
            values = {field.name: meta[field.name] for field in dataclasses.fields(cls)}
            mean, axes, variances = (
                _decode(values.pop(name)) for name in ("mean", "axes", "variances"))
            found = cls(mean, axes.reshape(len(variances), len(mean)), variances, **values)
            scales = np.array([*variances, found.rest, found.threshold], float)
            if not (np.isfinite(scales).all() and (scales > 0).all() and np.isfinite(axes).all()):
                raise ValueError("a variance is not positive")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UserError(f"{source}: damaged, because its feature_statistics are unreadable "
                            f"({one_line(error)}). Calibrate again with tools/test.py --calibrate."
                            ) from None
        return found


def _encode(values: np.ndarray) -> str:
    return base64.b64encode(values.astype("<f4").tobytes()).decode()


def _decode(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text, validate=True), "<f4").astype(np.float32)


def learn_statistics(features: np.ndarray) -> FeatureStatistics:
    """Estimate the statistics of training images' features (N, C), N >= 2; no threshold yet."""
    count, channels = features.shape
    mean = features.mean(0, dtype=np.float64)
    centred = features - mean
    covariance = shrunk_covariance(centred)
    variances, axes = np.linalg.eigh(covariance)  # ascending
    variances = np.maximum(variances, _SMALLEST)
    kept = min(AXES, channels)
    others = variances[:channels - kept]
    rest = float(others.mean()) if len(others) else float(variances[0])
    return FeatureStatistics(
        mean.astype(np.float32), axes[:, :-kept - 1:-1].T.astype(np.float32),
        variances[:-kept - 1:-1].astype(np.float32), rest, images=count)


def shrunk_covariance(centred: np.ndarray) -> np.ndarray:
    """Shrink the covariance of samples (N, C) of mean 0 towards a multiple of the identity.

    Ledoit and Wolf's estimate (1 - r) S + r m I, where m is the mean variance and r minimises the
    expected squared error.
    """
    count, channels = centred.shape
    sample = centred.T @ centred / count
    target = np.trace(sample) / channels * np.eye(channels)
    spread = ((sample - target)**2).sum()
    # the mean of |x x' - S|^2 over the samples
    noise = (((centred**2).sum(1)**2).mean() - (sample**2).sum()) / count
    weight = min(noise / spread, 1.0) if spread else 1.0
    return (1 - weight) * sample + weight * target
