"""A look over the datasets on disk, before hours of training find out what is wrong with them.

What is looked for is what configs/_base_/datasets/ loads; the numbers of images are the published
ones.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image
from tqdm import tqdm

from rein.datasets.domains import DOMAINS, Origin
from rein.datasets.image_files import is_cut_short
from rein.datasets.label_maps import CLASSES, IGNORE_INDEX
from rein.errors import UserError
from rein.parallel import in_processes

if TYPE_CHECKING:
    from mmengine.config import ConfigDict

BASES = Path(__file__).resolve().parents[2] / "configs/_base_/datasets"
DATASETS = ("gta", "synthia", "urbansyn", "cityscapes", "bdd100k", "mapillary", "acdc")
"""Config files, which are the folders' names, too."""

PUBLISHED = {
    "train_gta": 24966, "train_synthia": 9400, "train_urbansyn": 7539,
    "train_cityscapes": 2975, "train_cityscapes_1of16": 186, "val_cityscapes": 500,
    "train_bdd": 7000, "val_bdd": 1000,
    "train_mapillary": 18000, "val_mapillary": 2000, "val_mapillary_full": 2000,
    "val_acdc_night": 106, "val_acdc_fog": 100, "val_acdc_rain": 100, "val_acdc_snow": 100,
    "test_acdc_night": 500, "test_acdc_fog": 500, "test_acdc_rain": 500, "test_acdc_snow": 500,
}
"""Part -> number of images."""

MADE_FROM = {"val_mapillary": "validation/images"}
"""Part whose images a converter makes -> folder that it makes them from."""

SAMPLES = 20  # pairs of a part that a fast look opens
EXAMPLES = 3  # files named for each kind of problem


class Part(NamedTuple):
    """One split of a dataset: its folder's name, its name in the config, what the config says."""

    dataset: str
    name: str
    cfg: "ConfigDict"


class PartReport(NamedTuple):
    """What was found: numbers of images, of labels (None without), of opened pairs; problems."""

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
        root: Folder with `gta`, `cityscapes`, ...; datasets that are not there are passed over.
        fast: Open 20 pairs of each part instead of all.
        any_count: Other numbers of images than the published ones are right, too.
        workers: Processes; None means one per available core.

    Returns:
        One report for each part; parts whose images are not there have 0 images.

    Raises:
        UserError: There is no dataset.
    """
    names = [name for name in DATASETS if (root / name).is_dir()]
    if not names:
        raise UserError(
            f"{root}: no dataset found. Expected folders named {', '.join(DATASETS)}; README.md "
            "tells where each comes from.")
    reports = []
    for name in names:
        parts = [
            check_part(part, root, fast=fast, any_count=any_count, workers=workers)
            for part in parts_of(name)]
        if not any(report.images for report in parts):
            first = parts[0].part.cfg
            origin = Origin(first.domain, str(root / name))
            missing = f"{root / name / first.data_prefix['img_path']}: no images. "
            parts[0] = parts[0]._replace(problems=(missing + origin.how_to_get(),))
        reports += parts
    return reports


def parts_of(dataset: str) -> Iterator[Part]:
    """List the parts of a dataset's config file, each folder once."""
    from mmengine.config import Config  # converters import this module without it

    seen = []
    for name, value in Config.fromfile(BASES / f"{dataset}.py").items():
        several = isinstance(value, list)  # as test_acdc, whose parts are told apart by domain
        for cfg in value if several else [value]:
            if not isinstance(cfg, dict) or cfg.get("type") != "UrbanSceneDataset":
                continue
            place = (cfg.data_prefix, cfg.get("ann_file"))
            if place not in seen:
                seen.append(place)
                yield Part(dataset, f"test_{cfg.domain}" if several else name, cfg)


def check_part(
    part: Part, root: Path, *, fast: bool, any_count: bool, workers: int | None
) -> PartReport:
    """Check one part; see `check_datasets`."""
    cfg, home = part.cfg, root / part.dataset
    images = _names(home / cfg.data_prefix["img_path"], cfg.img_suffix)
    has_labels = "seg_map_path" in cfg.data_prefix
    labels = _names(home / cfg.data_prefix["seg_map_path"], cfg.seg_map_suffix) \
        if has_labels else set()
    if not images:
        return PartReport(part, 0, len(labels) if has_labels else None, 0,
                          tuple(_missing_conversion(part, home)))
    if cfg.get("ann_file"):  # a part of a part: only what is listed
        from rein.datasets.urban import list_file

        listed = set(list_file(home, cfg.ann_file).read_text().split())
        images, labels = images & listed, labels & listed
    problems = []
    expected = PUBLISHED.get(part.name)
    if expected is not None and len(images) != expected and not any_count:
        problems.append(f"{len(images)} images, but {expected} were published")
    if has_labels:
        problems += _unpaired(part, home, images, labels)
    chosen = sorted(images & labels if has_labels else images)
    if fast and len(chosen) > SAMPLES:
        chosen = [chosen[i] for i in np.linspace(0, len(chosen) - 1, SAMPLES).astype(int)]
    problems += _open_all(part, home, chosen, has_labels, workers)
    return PartReport(part, len(images), len(labels) if has_labels else None, len(chosen),
                      tuple(problems))


def _names(folder: Path, suffix: str) -> set[str]:
    """Names below a folder that end in a suffix, without it."""
    if not folder.is_dir():
        return set()
    return {
        path.relative_to(folder).as_posix()[: -len(suffix)] for path in folder.rglob(f"*{suffix}")}


def _missing_conversion(part: Part, home: Path) -> Iterator[str]:
    source = MADE_FROM.get(part.name)
    if source and (home / source).is_dir():
        how = Origin(part.cfg.domain, str(home)).how_to_convert()
        yield f"{home / part.cfg.data_prefix['img_path']} is not made yet. {how}"


def _unpaired(part: Part, home: Path, images: set[str], labels: set[str]) -> Iterator[str]:
    """Tell of images without a label and of labels without an image."""
    unlabelled, imageless = sorted(images - labels), sorted(labels - images)
    if unlabelled and (len(unlabelled) > part.cfg.get("max_unlabelled", 0)
                       or len(unlabelled) == len(images)):
        how = Origin(part.cfg.domain, str(home)).how_to_convert()
        yield f"{len(unlabelled)} images have no label ({_examples(unlabelled)}). {how}"
    if imageless:
        yield (f"{len(imageless)} labels have no image ({_examples(imageless)}). Get "
               f"{DOMAINS[part.cfg.domain].title} again from {DOMAINS[part.cfg.domain].url}.")


def _examples(names: Sequence[str]) -> str:
    return ", ".join(names[:EXAMPLES]) + (", ..." if len(names) > EXAMPLES else "")


def _open_all(
    part: Part, home: Path, names: Sequence[str], has_labels: bool, workers: int | None
) -> list[str]:
    """Open files in several processes; one problem for each that is broken."""
    cfg = part.cfg
    image = home / cfg.data_prefix["img_path"], cfg.img_suffix
    label = (home / cfg.data_prefix["seg_map_path"], cfg.seg_map_suffix) if has_labels else None
    results = in_processes(partial(_open_pair, image, label), names, workers)
    bar = tqdm(results, total=len(names), desc=part.name, unit="pair", leave=False)
    return [problem for problem in bar if problem]


def _open_pair(image: tuple[Path, str], label: tuple[Path, str] | None, name: str) -> str:
    """Decode an image and its label; returns what is wrong with them, if anything."""
    path = image[0] / f"{name}{image[1]}"
    try:
        with Image.open(path) as picture:
            _load(picture, path)
            size = picture.size
        if label is None:
            return ""
        path = label[0] / f"{name}{label[1]}"
        with Image.open(path) as picture:
            _load(picture, path)
            return _label_problem(picture, path, size)
    except Exception as error:  # each decoder has its own kinds
        return f"{path} does not decode ({error or type(error).__name__})"


def _load(picture: Image.Image, path: Path) -> None:
    """Decode a picture, and see that it does not end early, which decoders may overlook."""
    picture.load()
    if is_cut_short(path):
        raise ValueError("it ends early")


def _label_problem(picture: Image.Image, path: Path, size: tuple[int, int]) -> str:
    if picture.mode not in ("L", "P"):
        return f"{path} is of mode {picture.mode}, expected 8-bit labels"
    if picture.size != size:
        return f"{path} is {picture.width}x{picture.height}, its image {size[0]}x{size[1]}"
    found = {value for value, count in enumerate(picture.histogram()) if count}
    wrong = sorted(found - {*range(len(CLASSES)), IGNORE_INDEX})
    if wrong:
        return f"{path} holds {', '.join(map(str, wrong[:8]))}, expected 0-18 and 255"
    return ""


def text_table(reports: Sequence[PartReport]) -> str:
    """Write reports as one table, and the problems below it."""
    rows = [("dataset", "part", "images", "published", "labels", "opened", "")]
    for report in reports:
        name, images = report.part.name, report.images
        state = f"{len(report.problems)} wrong" if report.problems else "ok" if images else "absent"
        rows.append((
            report.part.dataset, name, str(images), str(PUBLISHED.get(name, "")),
            "" if report.labels is None else str(report.labels), str(report.opened), state))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
             for row in rows]
    for report in reports:
        for problem in report.problems[:EXAMPLES]:
            lines.append(f"{report.part.name}: {problem}")
        if len(report.problems) > EXAMPLES:
            lines.append(
                f"{report.part.name}: {len(report.problems) - EXAMPLES} more of such problems")
    return "\n".join(lines)
