"""Write a comparison of runs as Markdown tables: runs, means over seeds, differences."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rein.datasets.domains import domain_title
from rein.evaluation.comparison import (
    MEAN,
    MIN_IMAGES,
    Difference,
    Group,
    common_images,
    compare_over_seeds,
    load_groups,
    paired_bootstrap,
    run_miou,
)
from rein.evaluation.report import markdown_rows, percent
from rein.evaluation.result_files import SavedRun


def spread(values: Sequence[float]) -> str:
    """Format the mean and, for two or more values, the sample standard deviation."""
    if len(values) < 2:
        return percent(values[0])
    return f"{np.mean(values):.2f} ± {np.std(values, ddof=1):.2f}"


def compare(folders: Sequence[str | Path], draws: int = 10_000, seed: int = 0) -> str:
    """Compare runs; the first run's group is the baseline.

    Args:
        folders: Folders that hold runs, or whose direct subfolders do.
        draws: Number of bootstrap samples.
        seed: Seed of the bootstrap.

    Returns:
        Markdown tables of the runs, of the groups, and of each group against the first: over
        images and, where groups have several seeds, over seeds.

    Raises:
        UserError: A folder contains no run, or the runs have other classes or no image in common.
    """
    groups = load_groups(folders)
    runs = [run for group in groups for run in group.runs]
    domains = list(dict.fromkeys(domain for run in runs for domain in run.confusion))
    titles = [*map(domain_title, domains), MEAN]
    found = {id(run): run_miou(run) for run in runs}
    parts = ["# Runs", _runs_table(runs, found, domains, titles)]
    if any(len(group.runs) > 1 for group in groups):
        parts += ["# Mean and standard deviation over seeds",
                  _groups_table(groups, found, domains, titles)]
    if len(groups) > 1:
        parts += [f"# Against {groups[0].name}",
                  _differences_table(groups, domains, titles, draws, seed),
                  *_seeds_table(groups, domains, titles)]
    return "\n\n".join(parts) + "\n"


def _runs_table(
    runs: Sequence[SavedRun], found: dict[int, dict[str, float]], domains: Sequence[str],
    titles: Sequence[str],
) -> str:
    header = ["run", "config", "protocol", "checkpoint", "seed", *titles]
    rows = []
    for run in runs:
        record = run.record
        values = [found[id(run)].get(name, np.nan) for name in (*domains, MEAN)]
        rows.append([
            str(run.folder), record.config, record.protocol or "own", f"`{record.digest[:12]}`",
            "?" if record.seed is None else str(record.seed), *map(percent, values)])
    return "mIoU in percent\n\n" + markdown_rows(header, rows, words=4)


def _groups_table(
    groups: Sequence[Group], found: dict[int, dict[str, float]], domains: Sequence[str],
    titles: Sequence[str],
) -> str:
    rows = []
    for group in groups:
        cells = []
        for name in (*domains, MEAN):
            values = [found[id(run)].get(name, np.nan) for run in group.runs]
            values = [value for value in values if not np.isnan(value)]
            cells.append(spread(values) if values else "-")
        rows.append([group.name, str(len(group.runs)), *cells])
    return markdown_rows(["config", "runs", *titles], rows)


def _differences_table(
    groups: Sequence[Group], domains: Sequence[str], titles: Sequence[str], draws: int, seed: int,
) -> str:
    baseline, *others = groups
    rows, shared = [], []
    for group in others:
        found = paired_bootstrap(group, baseline, draws, seed)
        cells = [_cell(found[name], draws) if name in found else "-" for name in (*domains, MEAN)]
        rows.append([group.name, *cells])
        shared.append(_shared_text(group, baseline))
    texts = {*shared}
    if len(texts) > 1:
        texts = [f"{text} ({group.name})" for text, group in zip(shared, others, strict=True)]
    note = (f"Difference in mIoU with its 95 % interval and two-sided p: paired bootstrap over "
            f"images, {draws} draws, seed {seed}; images in common: {'; '.join(texts)}. It covers "
            f"the choice of images, not of training seeds, and needs {MIN_IMAGES} images.")
    return f"{note}\n\n{markdown_rows(['config', *titles], rows)}"


def _seeds_table(
    groups: Sequence[Group], domains: Sequence[str], titles: Sequence[str],
) -> list[str]:
    """Write a note and the table of differences over seeds; nothing without several seeds."""
    rows = []
    for group in groups[1:]:
        found = compare_over_seeds(group, groups[0])
        if found:
            rows.append([group.name, *(_cell(found[name]) if name in found else "-"
                                       for name in (*domains, MEAN))])
    if not rows:
        return []
    return ["Difference between the means over training seeds, on the same images: Welch's t-test, "
            "95 % interval, two-sided p. Few seeds make the interval wide.",
            markdown_rows(["config", *titles], rows)]


def _shared_text(group: Group, baseline: Group) -> str:
    """Count the images that a difference is computed on, by domain."""
    images = common_images([*group.runs, *baseline.runs])
    text = ", ".join(f"{len(paths)} of {domain_title(domain)}" for domain, paths in images.items())
    missing = [domain_title(domain) for domain in baseline.runs[0].mean_domains
               if domain not in images]
    return text + (f", so the mean excludes {', '.join(missing)}" if missing else "")


def _cell(one: Difference, draws: int = 10_000) -> str:
    """Format a difference; a p below 2 / draws is "< 2 / draws"."""
    if np.isnan(one.p):
        return f"{one.value:+.2f}"
    p = f"< {2 / draws:.2g}" if one.p <= 1 / draws else f"{one.p:.2g}"
    sign = f"= {p}" if not p.startswith("<") else p
    return f"{one.value:+.2f} [{one.low:+.2f}, {one.high:+.2f}], p {sign}"
