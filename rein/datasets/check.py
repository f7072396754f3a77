"""Check the datasets on disk for missing, unpaired, broken and unconverted files.

The expected facts come from `rein.datasets.descriptions`.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from tqdm import tqdm

from rein.datasets.descriptions import DESCRIPTIONS, DatasetDescription, Part
from rein.datasets.domains import Origin, domain_title
from rein.datasets.image_files import is_cut_short, list_file, turned_size
from rein.datasets.label_maps import IGNORE_INDEX
from rein.errors import UserError
from rein.parallel import in_processes

SAMPLES = 20  # pairs that a fast check opens per part
EXAMPLES = 3  # names or problems to list before summarizing the rest


class PartReport(NamedTuple):
    """Counts of images, labels (None if the part has none) and opened pairs, and the problems."""

    dataset: DatasetDescription
    part: Part
    images: int
    labels: int | None
    opened: int
    problems: tuple[str, ...]


def check_datasets(
    root: Path, *, fast: bool = False, any_count: bool = False, workers: int | None = None
) -> list[PartReport]:
    """Check every dataset below a folder.

    Args:
        root: Folder with `gta`, `cityscapes`, ...; absent datasets are skipped.
        fast: Open 20 pairs of each part instead of all.
        any_count: Accept image counts that differ from the published ones.
        workers: Processes; None means one per available core.

    Returns:
        One report for each part; absent parts have 0 images.

    Raises:
        UserError: The folder contains no dataset.
    """
    datasets = [dataset for name, dataset in DESCRIPTIONS.items() if (root / name).is_dir()]
    if not datasets:
        raise UserError(
            f"{root}: no dataset found. Expected folders named {', '.join(DESCRIPTIONS)}; "
            "docs/datasets.md lists their sources.")
    reports = []
    for dataset in datasets:
        home = root / dataset.name
        parts = [
            check_part(dataset, part, home, fast=fast, any_count=any_count, workers=workers)
            for part in dataset.parts]
        if not any(report.images for report in parts):
            origin = _origin(dataset, dataset.parts[0], home)
            missing = f"{home / dataset.parts[0].images}: no images. {origin.how_to_get()}"
            parts[0] = parts[0]._replace(problems=(missing,))
        reports += parts
    return reports


def _origin(dataset: DatasetDescription, part: Part, home: Path) -> Origin:
    return Origin(part.domain or dataset.domain, str(home))


def check_part(
    dataset: DatasetDescription, part: Part, home: Path, *, fast: bool, any_count: bool,
    workers: int | None,
) -> PartReport:
    """Check one part of the dataset in `home`; see `check_datasets`."""
    images = _names(home / part.images, dataset.image_suffix)
    labels = _names(home / part.labels, dataset.label_suffix) if part.labels else set()
    if not images:
        return PartReport(dataset, part, 0, len(labels) if part.labels else None, 0,
                          tuple(_missing_conversion(dataset, part, home)))
    if part.list_file:  # only the listed images belong to this part
        path = list_file(home, part.list_file)
        if not path.is_file():
            how = _origin(dataset, part, home).how_to_convert()
            return PartReport(dataset, part, len(images), len(labels), 0,
                              (f"{path} has not been created yet. {how}",))
        listed = set(path.read_text().split())
        images, labels = images & listed, labels & listed
    problems = []
    if part.count is not None and len(images) != part.count and not any_count:
        problems.append(f"{counted(len(images), 'image')}, but {part.count} were published")
    if part.labels:
        problems += _unpaired(dataset, part, home, images, labels)
    chosen = sorted(images & labels if part.labels else images)
    if fast and len(chosen) > SAMPLES:
        chosen = [chosen[i] for i in np.linspace(0, len(chosen) - 1, SAMPLES).astype(int)]
    problems += _open_all(dataset, part, home, chosen, workers)
    return PartReport(dataset, part, len(images), len(labels) if part.labels else None,
                      len(chosen), tuple(problems))


def _names(folder: Path, suffix: str) -> set[str]:
    """List the file names below a folder that end in a suffix, without the suffix."""
    if not folder.is_dir():
        return set()
    return {
        path.relative_to(folder).as_posix()[: -len(suffix)] for path in folder.rglob(f"*{suffix}")}


def _missing_conversion(dataset: DatasetDescription, part: Part, home: Path) -> Iterator[str]:
    if part.made_from and (home / part.made_from).is_dir():
        how = _origin(dataset, part, home).how_to_convert()
        yield f"{home / part.images} has not been created yet. {how}"


def _unpaired(
    dataset: DatasetDescription, part: Part, home: Path, images: set[str], labels: set[str],
) -> Iterator[str]:
    """Name images without a label and labels without an image."""
    unlabelled, imageless = sorted(images - labels), sorted(labels - images)
    if unlabelled and (len(unlabelled) > dataset.max_unlabelled or len(unlabelled) == len(images)):
        how = _origin(dataset, part, home).how_to_convert()
        yield f"{counted(len(unlabelled), 'image')} without label ({_examples(unlabelled)}). {how}"
    if imageless:
        title = domain_title(part.domain or dataset.domain)
        yield (f"{counted(len(imageless), 'label')} without image ({_examples(imageless)}). Get "
               f"{title} again from {dataset.url}.")


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: "1 image", "2 images"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _examples(names: Sequence[str]) -> str:
    return ", ".join(names[:EXAMPLES]) + (", ..." if len(names) > EXAMPLES else "")


def _open_all(
    dataset: DatasetDescription, part: Part, home: Path, names: Sequence[str],
    workers: int | None,
) -> list[str]:
    """Open pairs in several processes; return one problem per broken pair."""
    image = home / part.images, dataset.image_suffix
    label = (home / part.labels, dataset.label_suffix) if part.labels else None
    open_pair = partial(_open_pair, image, label, len(dataset.classes))
    results = in_processes(open_pair, names, workers)
    bar = tqdm(results, total=len(names), desc=part.name, unit="pair", leave=False)
    return [problem for problem in bar if problem]


def _open_pair(
    image: tuple[Path, str], label: tuple[Path, str] | None, num_classes: int, name: str,
) -> str:
    """Decode an image and its label; return their problem, or "" if both are intact."""
    path = image[0] / f"{name}{image[1]}"
    try:
        with Image.open(path) as picture:
            _load(picture, path)
            size = turned_size(picture)
        if label is None:
            return ""
        path = label[0] / f"{name}{label[1]}"
        with Image.open(path) as picture:
            _load(picture, path)
            return _label_problem(picture, path, size, num_classes)
    except Exception as error:  # each decoder raises its own types
        return f"{path} does not decode ({error or type(error).__name__})"


def _load(picture: Image.Image, path: Path) -> None:
    """Decode a picture; reject truncated files, which decoders may accept."""
    picture.load()
    if is_cut_short(path):
        raise ValueError("the file is truncated")


def _label_problem(
    picture: Image.Image, path: Path, size: tuple[int, int], num_classes: int,
) -> str:
    if picture.mode not in ("L", "P"):
        return f"{path} has mode {picture.mode}, expected 8-bit labels"
    if picture.size != size:
        return f"{path} is {picture.width}x{picture.height}, but its image is {size[0]}x{size[1]}"
    found = {value for value, count in enumerate(picture.histogram()) if count}
    wrong = sorted(found - {*range(num_classes), IGNORE_INDEX})
    if wrong:
        values = ", ".join(map(str, wrong[:8]))
        return f"{path} contains {values}, expected 0-{num_classes - 1} and 255"
    return ""


def text_table(reports: Sequence[PartReport]) -> str:
    """Format reports as a table, followed by the problems."""
    rows = [("dataset", "part", "images", "published", "labels", "opened", "")]
    for report in reports:
        name, images = report.part.name, report.images
        state = f"{len(report.problems)} wrong" if report.problems else "ok" if images else "absent"
        rows.append((
            report.dataset.name, name, str(images), str(report.part.count or ""),
            "" if report.labels is None else str(report.labels), str(report.opened), state))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
             for row in rows]
    for report in reports:
        for problem in report.problems[:EXAMPLES]:
            lines.append(f"{report.part.name}: {problem}")
        if len(report.problems) > EXAMPLES:
            more = counted(len(report.problems) - EXAMPLES, "more problem")
            lines.append(f"{report.part.name}: {more}")
    return "\n".join(lines)
