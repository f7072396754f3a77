"""Files of a test: results.json with its measures, results.npz with the confusion of each image."""

import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rein.atomic_files import write_atomically
from rein.datasets.domains import domain_title
from rein.errors import UserError
from rein.evaluation.results import (
    DomainResults,
    ImageResult,
    RunRecord,
    image_names,
    reliability_of,
)

RESULTS_FILE = "results.json"
IMAGES_FILE = "results.npz"


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


def find_reports(folder: Path) -> list[Path]:
    """Return the folders with a results.json in a folder or up to two levels below, sorted."""
    return sorted({path.parent for parents in ("", "*/", "*/*/")
                   for path in folder.glob(parents + RESULTS_FILE)})


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
