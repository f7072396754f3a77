"""Results of an evaluation: confusion per domain and per image, and the settings of the test.

Sources: IoU as in PASCAL VOC and Cityscapes, intersection over union of all pixels of a domain.
"""

import hashlib
import io
import json
import os
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rein.atomic_files import write_atomically
from rein.datasets.domains import domain_title
from rein.errors import UserError
from rein.evaluation.confidence import Reliability

RESULTS_FILE = "results.json"
IMAGES_FILE = "results.npz"


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


def _named(names: Sequence[str], values: np.ndarray) -> dict[str, float | None]:
    # JSON has no NaN
    return {n: None if np.isnan(v) else float(v) for n, v in zip(names, values, strict=True)}


def _measures(results: DomainResults) -> dict:
    domains = {}
    for i, domain in enumerate(results.domains):
        domains[domain] = {
            "name": domain_title(domain),
            **_named(("mIoU", "mAcc", "aAcc"), (results.miou[i], results.macc[i], results.aacc[i])),
            **_named(("majority_mIoU",), (results.majority_miou[i],)),
            "IoU": _named(results.classes, results.iou[i]),
            "Acc": _named(results.classes, results.acc[i]),
        }
    mean = {
        **_named(("mIoU", "majority_mIoU"), (
            results.mean(results.miou), results.mean(results.majority_miou))),
        "IoU": _named(results.classes, results.mean(results.iou)),
    }
    return {"domains": domains, "mean_domains": list(results.mean_domains), "mean": mean}


def save_results(
    folder: str | Path, results: DomainResults, images: Sequence[ImageResult] = (),
    record: RunRecord | None = None,
) -> None:
    """Write results.npz with the confusion of every image, then results.json.

    The JSON holds every measure in percent at full precision, null if a class does not occur, the
    folder of each domain's images below the data root if known, and the SHA-256 of the NPZ;
    `reliability` holds confidence and accuracy of each domain with scores. The NPZ holds `domains`
    (N,), `images` (N,), `confusion` int64 (N, C, C) and, with statistics of features, `shift` (N,).

    Args:
        folder: Output folder, created if missing.
        results: Results of the domains.
        images: Results of the images, including failed ones.
        record: Settings of the test.
    """
    folder = Path(folder)
    names = image_names(images)
    named = list(zip(names, images, strict=True))
    failed = [dict(domain=image.domain, image=name, error=image.error)
              for name, image in named if image.error]
    counted = [(name, image) for name, image in named if not image.error]
    content = {
        "run": record and asdict(record),
        "protocol": results.protocol,
        **_measures(results),
        "reliability": {name: one.measures() for name, one in reliability_of(images).items()},
        "images": {
            "counted": len(counted), "failed": failed,
            "folders": {image.domain: image.folder for image in images if image.folder},
            "sha256": _write_confusions(folder / IMAGES_FILE, counted) if counted else None,
        },
    }
    write_atomically(folder / RESULTS_FILE, json.dumps(content, indent=2) + "\n")


def _write_confusions(path: Path, counted: Sequence[tuple[str, ImageResult]]) -> str:
    """Write the confusion of each named image; return the file's SHA-256."""
    file = io.BytesIO()
    shifts = [image.shift for _, image in counted]
    optional = {} if None in shifts else {"shift": np.array(shifts)}
    np.savez_compressed(
        file,
        domains=np.array([image.domain for _, image in counted]),
        images=np.array([name for name, _ in counted]),
        confusion=np.stack([image.confusion for _, image in counted]).astype(np.int64),
        **optional)
    write_atomically(path, file.getvalue())
    return hashlib.sha256(file.getvalue()).hexdigest()


class SavedRun(NamedTuple):
    """A run as written by `save_results`.

    Attributes:
        folder: Folder of the run.
        record: Settings of the test.
        mean_domains: Domains to average.
        confusion: Domain -> image name -> int64 (C, C).
        classes: C names.
        folders: Domain -> folder of its images below the data root; absent if unknown.
        failed: Domain -> names of the images that could not be read.
    """

    folder: Path
    record: RunRecord
    mean_domains: tuple[str, ...]
    confusion: dict[str, dict[str, np.ndarray]]
    classes: tuple[str, ...]
    folders: dict[str, str]
    failed: dict[str, list[str]]

    def path_of(self, domain: str, name: str) -> str:
        """Return an image's path below the data root; its name if the folder is unknown."""
        return Path(self.folders.get(domain, ""), name).as_posix()

    def by_path(self, domain: str) -> dict[str, np.ndarray]:
        """Map the path of each image of a domain to its confusion."""
        return {self.path_of(domain, name): counts
                for name, counts in self.confusion.get(domain, {}).items()}

    def results(self) -> DomainResults:
        """Sum the confusion of each domain that has images."""
        sums = {domain: sum(one.values()) for domain, one in self.confusion.items() if one}
        return DomainResults(
            tuple(sums), self.classes, np.stack([*sums.values()]),
            tuple(name for name in self.mean_domains if name in sums), self.record.protocol)


def load_run(folder: str | Path, whole: bool = True) -> SavedRun:
    """Read a run.

    Args:
        folder: Folder of the run.
        whole: Refuse two files that are not of the same test: it was killed while writing them.

    Raises:
        UserError: The folder lacks results.json or results.npz, or one of them is invalid.
    """
    folder = Path(folder)
    try:
        content = json.loads((folder / RESULTS_FILE).read_text(encoding="utf-8"))
        expected = content["images"].get("sha256")  # absent in older results
        packed = (folder / IMAGES_FILE).read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(
            f"{error.filename}: no such file. A run is a folder with the {RESULTS_FILE} and "
            f"{IMAGES_FILE} of tools/test.py.") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _invalid(folder / RESULTS_FILE, error) from None
    except OSError as error:
        raise UserError(f"{error.filename}: cannot be read ({error.strerror}).") from None
    if whole and expected and hashlib.sha256(packed).hexdigest() != expected:
        raise UserError(f"{folder / IMAGES_FILE}: damaged, or not of the same test as "
                        f"{RESULTS_FILE}. Test again.")
    try:
        counts = _read_confusions(packed)
    except Exception as error:  # damaged archives raise errors of zipfile, zlib, struct and NumPy
        raise _invalid(folder / IMAGES_FILE, error) from None
    try:
        return _saved_run(folder, content, counts)
    except (ValueError, KeyError, TypeError, AttributeError, StopIteration) as error:
        raise _invalid(folder, error) from None


def _invalid(path: Path, error: Exception) -> UserError:
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    return UserError(f"{path}: the results of this test are invalid ({reason}). Test again.")


def _read_confusions(packed: bytes) -> list[tuple[str, str, np.ndarray]]:
    """Read (domain, image name, confusion) of each image from the content of results.npz."""
    with np.load(io.BytesIO(packed)) as file:
        domains, names, counts = file["domains"], file["images"], file["confusion"]
    if counts.ndim != 3 or counts.shape[1] != counts.shape[2] or counts.dtype.kind not in "iu":
        raise ValueError(f"confusion is {counts.dtype} of shape {counts.shape}, not (N, C, C)")
    return list(zip(domains.tolist(), names.tolist(), counts, strict=True))


def _saved_run(
    folder: Path, content: dict, counts: Sequence[tuple[str, str, np.ndarray]],
) -> SavedRun:
    """Assemble a run from the contents of its two files."""
    domains, images = content["domains"], content["images"]
    classes = tuple(next(iter(domains.values()))["IoU"])
    confusion: dict[str, dict[str, np.ndarray]] = {name: {} for name in domains}
    for domain, name, matrix in counts:
        if len(matrix) != len(classes):
            raise ValueError(f"{len(matrix)} classes in {IMAGES_FILE}, but {len(classes)} in "
                             f"{RESULTS_FILE}")
        if domain in confusion:
            confusion[domain][name] = matrix
    failed: dict[str, list[str]] = {}
    for image in images["failed"]:
        failed.setdefault(image["domain"], []).append(image["image"])
    mean_domains = tuple(content["mean_domains"])
    if not {*mean_domains} <= {*confusion}:
        raise ValueError(f"mean_domains {list(mean_domains)} are not all in domains")
    record = RunRecord(**content["run"])
    if not isinstance(record.sizes, dict) or not isinstance(record.digest, str):
        raise TypeError("the settings of the test have wrong types")
    return SavedRun(
        folder, record, mean_domains, confusion, classes, dict(images.get("folders") or {}), failed)
