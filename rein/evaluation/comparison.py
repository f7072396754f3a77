"""Group runs by what they share, and test their differences over images and over seeds.

Sources: Efron and Tibshirani, An Introduction to the Bootstrap (1993): percentile intervals.
Images are drawn with replacement within each domain, the same images for both sides.
Welch, Biometrika 34 (1947): means over seeds with different deviations.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.special import stdtr, stdtrit

from rein.datasets.domains import domain_title
from rein.errors import UserError
from rein.evaluation.result_files import RESULTS_FILE, SavedRun, load_run

MEAN = "mean"
MIN_IMAGES = 6
"""Images of a domain for an interval: if 5 all agree, a sign test still has p = 2 / 2**5 > 0.05."""
_CHUNK = 500  # draws per batch, to bound memory


class Difference(NamedTuple):
    """Difference between the mIoU of two groups, in percentage points.

    Attributes:
        value: Difference on all images, between the means over each group's runs.
        low: Lower end of the 95 % interval.
        high: Upper end of that interval.
        p: Two-sided. Of draws: twice the share that is zero or of the opposite sign, at least
            1 / draws. NaN, like `low` and `high`, on fewer than `MIN_IMAGES` images.
    """

    value: float
    low: float
    high: float
    p: float


class Group(NamedTuple):
    """Runs that differ only in their training seed, as far as they are recorded."""

    name: str
    runs: tuple[SavedRun, ...]


def find_runs(folders: Sequence[str | Path]) -> list[SavedRun]:
    """Load runs from folders that hold results, or whose direct subfolders do.

    Raises:
        UserError: A folder contains no run.
    """
    runs = []
    for folder in map(Path, folders):
        inside = sorted(path.parent for path in folder.glob(f"*/{RESULTS_FILE}"))
        if inside and not (folder / RESULTS_FILE).exists():
            runs += map(load_run, inside)
        else:
            runs.append(load_run(folder))
    return runs


def load_groups(folders: Sequence[str | Path]) -> list[Group]:
    """Load runs as `find_runs` does, and group them as `group_runs` does.

    Raises:
        UserError: A folder contains no run, or the runs have other classes.
    """
    runs = find_runs(folders)
    _check_classes(runs)
    return group_runs(runs)


def _check_classes(runs: Sequence[SavedRun]) -> None:
    """Check that all runs have the same classes.

    Raises:
        UserError: They differ.
    """
    first, *others = runs
    for run in others:
        if run.classes != first.classes:
            raise UserError(
                f"{run.folder}: tested with the classes {_class_list(run)}, but {first.folder} "
                f"with {_class_list(first)}. Compare runs with the same list of classes.")


def _class_list(run: SavedRun) -> str:
    return f"{', '.join(run.classes)} ({len(run.classes)})"


def group_runs(runs: Sequence[SavedRun]) -> list[Group]:
    """Group runs of one config and recipe, tested the same way on the same images, in order.

    If a group's seeds are not all known and different (two checkpoints of one training, for
    example), each of its runs becomes a group of its own.
    """
    together: dict[tuple, list[SavedRun]] = {}
    for run in runs:
        images = frozenset(
            (domain, path) for domain in run.confusion for path in run.by_path(domain))
        together.setdefault((run.record.config, *_settings(run), images), []).append(run)
    groups = []
    for members in together.values():
        name = _group_name(members[0], [runs[0] for runs in together.values()])
        seeds = {run.record.seed for run in members} - {None}
        if len(members) in (1, len(seeds)):
            groups.append(Group(name, tuple(members)))
        else:
            groups += [Group(f"{name} ({run.folder})", (run,)) for run in members]
    return groups


def _group_name(run: SavedRun, others: Sequence[SavedRun]) -> str:
    """Name a group by its config and, where that is ambiguous, by its recipe and test settings."""
    same = [_settings(other) for other in others if other.record.config == run.record.config]
    mine = _settings(run)
    name = ", ".join([run.record.config, *(
        text for i, text in enumerate(mine) if len({one[i] for one in same}) > 1)])
    return name if same.count(mine) == 1 else f"{name} on the images of {run.folder}"


def _settings(run: SavedRun) -> tuple[str, ...]:
    """Describe what separates groups of one config, but for the images."""
    record = run.record
    sizes = ", ".join(f"{domain_title(name)} {size}" for name, size in sorted(record.sizes.items()))
    return (f"recipe {record.recipe or 'unknown'}", f"model {record.model or 'unknown'}",
            record.protocol or "own protocol", record.inference, sizes or "sizes unknown",
            f"mean over {', '.join(map(domain_title, run.mean_domains)) or 'nothing'}")


def areas(confusion: np.ndarray) -> np.ndarray:
    """Reduce confusion (..., C, C) to the correct and union pixels (..., 2, C) for IoU."""
    correct = np.diagonal(confusion, axis1=-2, axis2=-1)
    return np.stack([correct, confusion.sum(-1) + confusion.sum(-2) - correct], axis=-2)


def miou(summed: np.ndarray) -> np.ndarray:
    """Compute mIoU (...) in percent from summed areas (..., 2, C), over the classes that occur.

    NaN if no class occurs because all pixels are ignored.
    """
    correct, union = summed[..., 0, :], summed[..., 1, :]
    occurs = union > 0
    ratios = np.divide(correct, union, out=np.zeros(correct.shape), where=occurs)
    number = occurs.sum(-1)
    return np.where(number > 0, 100 * ratios.sum(-1) / np.maximum(number, 1), np.nan)


def common_images(runs: Sequence[SavedRun]) -> dict[str, list[str]]:
    """List the images that all runs share, by domain, as paths below the data root.

    Raises:
        UserError: The runs share no image.
    """
    images = {}
    for domain in runs[0].confusion:
        shared = set.intersection(*({*run.by_path(domain)} for run in runs))
        if shared:
            images[domain] = sorted(shared)
    if not images:
        raise UserError(
            f"{', '.join(str(run.folder) for run in runs)}: no image in common. Compare tests of "
            "the same datasets; test again where an older version wrote the results.")
    return images


def paired_bootstrap(
    group: Group, baseline: Group, draws: int = 10_000, seed: int = 0,
) -> dict[str, Difference]:
    """Compare two groups of runs on the images that all their runs share.

    Args:
        group: The group to compare.
        baseline: The reference; its value is subtracted.
        draws: Number of bootstrap samples.
        seed: Seed of the bootstrap.

    Returns:
        Domain -> difference; `MEAN` -> difference of the mean over the baseline's target domains.
    """
    generator = np.random.default_rng(seed)
    drawn, whole = {}, {}
    for domain, sides in _sides(group, baseline).items():
        whole[domain] = np.subtract(*(miou(side.sum(1)).mean() for side in sides))
        images = sides[0].shape[1]
        drawn[domain] = np.concatenate([
            np.subtract(*(_drawn_miou(counts, side) for side in sides))
            for counts in _draw(generator, images, draws)]) if images >= MIN_IMAGES else None
    used = _averaged(baseline, whole)
    if used:
        whole[MEAN] = np.mean([whole[domain] for domain in used])
        parts = [drawn[domain] for domain in used]
        drawn[MEAN] = None if any(part is None for part in parts) else np.mean(parts, axis=0)
    return {domain: _difference(whole[domain], drawn[domain]) for domain in whole}


def _sides(group: Group, baseline: Group) -> dict[str, list[np.ndarray]]:
    """Return the areas (runs, images, 2, C) of both groups on the images they share, by domain.

    Domains whose pixels are all ignored are left out.
    """
    found = {}
    for domain, paths in common_images([*group.runs, *baseline.runs]).items():
        sides = [np.stack([_areas_of(run.by_path(domain), paths) for run in side.runs])
                 for side in (group, baseline)]
        if not any(np.isnan(miou(side.sum(1))).any() for side in sides):
            found[domain] = sides
    return found


def _averaged(baseline: Group, found: Iterable[str]) -> list[str]:
    """List those of the found domains that the baseline's mean is over."""
    return [domain for domain in baseline.runs[0].mean_domains if domain in found]


def _areas_of(confusion: Mapping[str, np.ndarray], paths: Sequence[str]) -> np.ndarray:
    """Stack the areas of images, float64 (images, 2, C)."""
    return areas(np.stack([confusion[path] for path in paths])).astype(float)


def _draw(generator: np.random.Generator, images: int, draws: int) -> Iterator[np.ndarray]:
    """Draw images with replacement; yield the count of each image, (<= _CHUNK, images)."""
    for start in range(0, draws, _CHUNK):
        number = min(_CHUNK, draws - start)
        yield generator.multinomial(images, np.full(images, 1 / images), size=number).astype(float)


def _drawn_miou(counts: np.ndarray, side: np.ndarray) -> np.ndarray:
    """Average the mIoU (draws,) of drawn images over runs; `side` is (runs, images, 2, C)."""
    return np.mean([miou(np.tensordot(counts, run, axes=1)) for run in side], axis=0)


def _difference(value: float, drawn: np.ndarray | None) -> Difference:
    if drawn is None:
        return Difference(float(value), np.nan, np.nan, np.nan)
    drawn = drawn[~np.isnan(drawn)]  # some draws may have ignored pixels only
    low, high = np.percentile(drawn, [2.5, 97.5])
    beyond = min(np.mean(drawn <= 0), np.mean(drawn >= 0))
    return Difference(float(value), float(low), float(high),
                      float(min(max(2 * beyond, 1 / len(drawn)), 1)))


def compare_over_seeds(group: Group, baseline: Group) -> dict[str, Difference]:
    """Compare the means of two groups over their seeds by Welch's t-test, on shared images.

    Args:
        group: The group to compare.
        baseline: The reference; its value is subtracted.

    Returns:
        As from `paired_bootstrap`; empty unless both groups have at least two runs.
    """
    if min(len(group.runs), len(baseline.runs)) < 2:
        return {}
    values = {domain: [miou(side.sum(1)) for side in sides]
              for domain, sides in _sides(group, baseline).items()}
    used = _averaged(baseline, values)
    if used:
        values[MEAN] = [np.mean([values[domain][side] for domain in used], axis=0)
                        for side in (0, 1)]
    return {domain: _welch(*sides) for domain, sides in values.items()}


def _welch(a: np.ndarray, b: np.ndarray) -> Difference:
    """Compare the means of two samples of at least two values each."""
    value = float(a.mean() - b.mean())
    parts = np.array([a.var(ddof=1) / len(a), b.var(ddof=1) / len(b)])
    error = np.sqrt(parts.sum())
    if not error:
        return Difference(value, value, value, float(value == 0))
    freedom = parts.sum() ** 2 / (parts ** 2 / [len(a) - 1, len(b) - 1]).sum()
    margin = stdtrit(freedom, 0.975) * error
    return Difference(value, float(value - margin), float(value + margin),
                      float(2 * stdtr(freedom, -abs(value) / error)))


def run_miou(run: SavedRun) -> dict[str, float]:
    """Compute the mIoU of each domain, and their mean under `MEAN`; NaN where nothing counts."""
    values = {domain: float(miou(areas(sum(images.values()))))
              for domain, images in run.confusion.items() if images}
    counted = [values[name] for name in run.mean_domains if not np.isnan(values.get(name, np.nan))]
    values[MEAN] = float(np.mean(counted)) if counted else float("nan")
    return values
