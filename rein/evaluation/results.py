"""Results of an evaluation: confusion per domain and per image, and the settings of the test.

Sources: IoU as in PASCAL VOC and Cityscapes, intersection over union of all pixels of a domain.
"""

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from rein.datasets.domains import domain_title
from rein.evaluation.confidence import Reliability


@dataclass(frozen=True)  # mmengine turns named tuples into plain ones
class ImageResult:
    """Result of one test image.

    Args:
        domain: Domain of the image, such as "citys".
        path: Image file.
        confusion: int64 (C, C), pixels of [true class, predicted class]; None if the image failed.
        error: Reason for the failure; "" if there was none.
        strip: JPEG of image, prediction and errors if the image is among the best or worst of its
            domain; else empty.
        name: Path below the folder of the domain's images; "" if unknown.
        folder: Path of that folder below the data root; "" if unknown.
        bins: float64 (3, M), confidence and accuracy of its pixels, from
            `rein.evaluation.confidence.reliability_bins`; None without scores.
        shift: Distance of its features from training; None without statistics.
    """

    domain: str
    path: str
    confusion: np.ndarray | None = None
    error: str = ""
    strip: bytes = b""
    name: str = ""
    folder: str = ""
    bins: np.ndarray | None = None
    shift: float | None = None


@dataclass(frozen=True)
class RunRecord:
    """Settings of a test; every report includes them.

    Args:
        checkpoint: Tested file.
        digest: `rein.checkpoint.digest` of all weights of the model.
        config: Name of the config.
        protocol: Evaluation protocol, such as "rein"; "" for the config's own settings.
        sizes: Domain -> the size images are scaled to fit into, "WIDTHxHEIGHT".
        inference: "slide, crop 512x512, stride 341x341" or "whole", followed by other options.
        seed: Training seed; None if unknown.
        versions: Library -> version.
        device: Device of the test.
        date: Time of the test, ISO 8601.
        trainable: Parameters of the backbone that training changes; None if unknown.
        temperature: Temperature of the confidence; 1 if it is not calibrated.
        recipe: Digest of the training's config and length, without the seed; "" if unknown.
        model: Digest of the tested model's config, without the test's settings; "" if unknown.
    """

    checkpoint: str
    digest: str
    config: str
    protocol: str = ""
    sizes: dict[str, str] = field(default_factory=dict)
    inference: str = ""
    seed: int | None = None
    versions: dict[str, str] = field(default_factory=dict)
    device: str = ""
    date: str = ""
    trainable: int | None = None
    temperature: float = 1.0
    recipe: str = ""
    model: str = ""

    def facts(self) -> list[tuple[str, str]]:
        """List all settings as readable (name, value) pairs."""
        sizes = ", ".join(f"{domain_title(key)} {size}" for key, size in self.sizes.items())
        return [
            ("checkpoint", f"{self.checkpoint} (digest {self.digest[:12]})"),
            ("config", self.config),
            ("protocol", self.protocol or "the config's own"),
            ("resolution", sizes),
            ("inference", self.inference),
            ("confidence", "not calibrated" if self.temperature == 1 else (
                f"calibrated, temperature {self.temperature:.3f}")),
            ("training seed", "unknown" if self.seed is None else str(self.seed)),
            ("training recipe", self.recipe or "unknown"),
            ("versions", ", ".join(f"{key} {value}" for key, value in self.versions.items())),
            ("device", self.device),
            ("date", self.date),
        ]


@dataclass(frozen=True)
class DomainResults:
    """Confusion of each domain, and the measures derived from it, in percent.

    Args:
        domains: D names, such as "citys".
        classes: C names.
        confusion: int64 (D, C, C), pixels of [domain, true class, predicted class].
        mean_domains: Domains to average.
        protocol: Evaluation protocol, such as "rein"; "" if unknown.
    """

    domains: tuple[str, ...]
    classes: tuple[str, ...]
    confusion: np.ndarray
    mean_domains: tuple[str, ...]
    protocol: str = ""

    def _percent_of(self, whole: np.ndarray) -> np.ndarray:
        correct = np.diagonal(self.confusion, axis1=1, axis2=2)
        with np.errstate(divide="ignore", invalid="ignore"):  # an absent class is NaN
            return 100.0 * correct / whole

    @property
    def iou(self) -> np.ndarray:
        """IoU (D, C); NaN if a class is neither labelled nor predicted."""
        truth, predicted = self.confusion.sum(2), self.confusion.sum(1)
        correct = np.diagonal(self.confusion, axis1=1, axis2=2)
        return self._percent_of(truth + predicted - correct)

    @property
    def acc(self) -> np.ndarray:
        """Accuracy (D, C), the share of a class's pixels predicted as such; NaN if unlabelled."""
        return self._percent_of(self.confusion.sum(2))

    @property
    def miou(self) -> np.ndarray:
        """Mean IoU (D,) over the classes that occur."""
        return _nanmean(self.iou)

    @property
    def macc(self) -> np.ndarray:
        """Mean accuracy (D,) over the labelled classes."""
        return _nanmean(self.acc)

    @property
    def aacc(self) -> np.ndarray:
        """Accuracy (D,) over all pixels."""
        with np.errstate(invalid="ignore"):
            correct = np.trace(self.confusion, axis1=1, axis2=2)
            return 100.0 * correct / self.confusion.sum((1, 2))

    @property
    def majority_miou(self) -> np.ndarray:
        """Mean IoU (D,) of predicting the domain's most frequent class everywhere."""
        truth = self.confusion.sum(2)
        with np.errstate(invalid="ignore"):
            return 100.0 * truth.max(1) / truth.sum(1) / (truth > 0).sum(1)

    def mean(self, values: np.ndarray) -> np.ndarray:
        """Average values (D, ...) over `mean_domains`, ignoring NaN; returns (...)."""
        return _nanmean(values[[self.domains.index(name) for name in self.mean_domains]].T)


def _nanmean(values: np.ndarray) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the mean of nothing is NaN
        return np.nanmean(values, axis=-1)


def image_miou(confusion: np.ndarray) -> float:
    """Compute one image's mIoU in percent over its labelled classes; NaN if all is ignored."""
    truth, correct = confusion.sum(1), np.diagonal(confusion)
    there = truth > 0
    union = (truth + confusion.sum(0) - correct)[there]
    return float(100.0 * np.mean(correct[there] / union)) if there.any() else float("nan")


def reliability_of(images: Sequence[ImageResult]) -> dict[str, Reliability]:
    """Sum the bins of the images of each domain; domains without scores are left out."""
    found: dict[str, list] = {}
    for image in images:
        if image.bins is not None and image.bins[0].any():
            found.setdefault(image.domain, []).append(image)
    return {domain: Reliability(
        sum(image.bins for image in counted),
        np.array([image.shift for image in counted if image.shift is not None]))
        for domain, counted in found.items()}


def image_names(images: Sequence[ImageResult]) -> list[str]:
    """Name images by their path below the folder of their domain's images.

    Where that folder is unknown, it is the images' common parent. Names do not depend on where the
    data is stored.
    """
    folders: dict[str, str] = {}
    for image in images:
        parent = os.path.dirname(os.path.abspath(image.path))
        folders[image.domain] = os.path.commonpath([folders.get(image.domain, parent), parent])
    return [image.name or Path(os.path.relpath(image.path, folders[image.domain])).as_posix()
            for image in images]
