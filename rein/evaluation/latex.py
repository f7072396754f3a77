r"""Write a comparison of runs as a LaTeX table, as papers print it: methods by domains.

The table needs the package `booktabs`.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rein.datasets.domains import domain_title
from rein.evaluation.comparison import (
    MEAN,
    Group,
    compare_over_seeds,
    load_groups,
    paired_bootstrap,
    run_miou,
)

_SPECIAL = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
            **{sign: rf"\{sign}" for sign in "&%$#_{}"}}
_MARKS = ((0.001, "***"), (0.01, "**"), (0.05, "*"))


def latex_table(folders: Sequence[str | Path], draws: int = 10_000, seed: int = 0) -> str:
    """Write a LaTeX table with one row per config; the first run's group is the baseline.

    Cells are the mIoU in percent: mean, and standard deviation over several seeds. The best of
    a column is bold, the second underlined. Stars mark a difference from the baseline that is
    significant over images and, where both have several seeds, over these, too.

    Args:
        folders: Folders that hold runs, or whose direct subfolders do.
        draws: Number of bootstrap samples.
        seed: Seed of the bootstrap.

    Returns:
        A `tabular` and a comment on its marks.

    Raises:
        UserError: A folder contains no run, or the runs have other classes or no image in common.
    """
    groups = load_groups(folders)
    domains = list(dict.fromkeys(d for g in groups for run in g.runs for d in run.confusion))
    columns = [*domains, MEAN]
    means = np.array([[_mean(group, name) for name in columns] for group in groups])
    marks = [{}, *(_marks(group, groups[0], draws, seed) for group in groups[1:])]
    rows = []
    for i, group in enumerate(groups):
        cells = [_ranked(_cell(group, name), means[:, j], i) + marks[i].get(name, "")
                 for j, name in enumerate(columns)]
        rows.append([escape(group.name), _parameters(group), *cells])
    titles = ["Method", "Trained", *(escape(domain_title(name)) for name in domains), "Mean"]
    lines = [" & ".join(row) + r" \\" for row in (titles, *rows)]
    return "\n".join([
        "% mIoU in percent, mean and standard deviation over seeds; best bold, second underlined",
        "% Trained: parameters of the backbone that are trained",
        *(f"% {'; '.join(_conditions(group))}" for group in groups),
        f"% against {_one_line(groups[0].name)}: * p < 0.05, ** p < 0.01, *** p < 0.001; paired "
        f"bootstrap over images, {draws} draws, seed {seed}; where both have several seeds, p is "
        "the larger of this one and that of Welch's t-test over seeds",
        rf"\begin{{tabular}}{{lr{'c' * len(columns)}}}", r"\toprule", lines[0], r"\midrule",
        *lines[1:], r"\bottomrule", r"\end{tabular}", ""])


def escape(text: str) -> str:
    """Escape the characters that LaTeX reads as commands."""
    return "".join(_SPECIAL.get(sign, sign) for sign in text)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _conditions(group: Group) -> list[str]:
    """State how a group was tested."""
    record, number = group.runs[0].record, len(group.runs)
    return [_one_line(part) for part in (
        group.name, "1 run" if number == 1 else f"{number} runs",
        f"protocol {record.protocol or 'of the config'}", record.inference) if part]


def _values(group: Group, name: str) -> np.ndarray:
    values = np.array([run_miou(run).get(name, np.nan) for run in group.runs])
    return values[~np.isnan(values)]


def _mean(group: Group, name: str) -> float:
    values = _values(group, name)
    return float(values.mean()) if len(values) else np.nan


def _cell(group: Group, name: str) -> str:
    """Format a mean, and the sample standard deviation of two or more values."""
    values = _values(group, name)
    if not len(values):
        return "--"
    deviation = rf" {{\scriptsize$\pm$ {values.std(ddof=1):.1f}}}" if len(values) > 1 else ""
    return f"{values.mean():.1f}{deviation}"


def _ranked(cell: str, column: np.ndarray, row: int) -> str:
    """Highlight the best and the second best of several printed values."""
    printed = sorted({round(value, 1) for value in column if not np.isnan(value)}, reverse=True)
    if len(printed) < 2 or np.isnan(column[row]):
        return cell
    place = printed.index(round(column[row], 1))
    number, _, rest = cell.partition(" ")
    command = {0: "textbf", 1: "underline"}.get(place)
    return cell if command is None else f"\\{command}{{{number}}}{' ' * bool(rest)}{rest}"


def _marks(group: Group, baseline: Group, draws: int, seed: int) -> dict[str, str]:
    """Return the stars of each domain's difference from the baseline, as superscripts."""
    found, seeds = paired_bootstrap(group, baseline, draws, seed), compare_over_seeds(
        group, baseline)
    larger = {name: max(one.p, seeds[name].p if name in seeds else 0)
              for name, one in found.items()}
    stars = {name: next((s for bound, s in _MARKS if p < bound), "")
             for name, p in larger.items()}
    return {name: f"$^{{{text}}}$" for name, text in stars.items() if text}


def _parameters(group: Group) -> str:
    """Format the trained parameters of the backbone, e.g. "2.99M"; "--" if unknown."""
    count = group.runs[0].record.trainable
    if count is None:
        return "--"
    return f"{count / 1e6:.2f}M" if count else "0"
