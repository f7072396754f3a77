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
    values = [_values(group, groups[0], columns) for group in groups]
    means = np.array([[np.mean(one) if len(one) else np.nan for one in row] for row in values])
    marks = [{}, *(_marks(group, groups[0], draws, seed) for group in groups[1:])]
    rows = []
    for i, group in enumerate(groups):
        cells = [_ranked(_cell(one), means[:, j], i) + marks[i].get(name, "") if len(one) else "--"
                 for j, (name, one) in enumerate(zip(columns, values[i], strict=True))]
        rows.append([escape(group.name), _parameters(group), *cells])
    titles = ["Method", "Trained", *(escape(domain_title(name)) for name in domains), "Mean"]
    lines = [" & ".join(row) + r" \\" for row in (titles, *rows)]
    return "\n".join([
        "% mIoU in percent, mean and standard deviation over seeds; best bold, second underlined",
        "% Trained: parameters of the backbone that are trained",
        *(f"% {'; '.join(_conditions(group, groups[0]))}" for group in groups),
        f"% against {_one_line(groups[0].name)}: * p < 0.05, ** p < 0.01, *** p < 0.001; paired "
        f"bootstrap over images, {draws} draws, seed {seed}; where both have several seeds, p is "
        "the larger of this one and that of Welch's t-test over seeds; not adjusted for the number "
        "of comparisons",
        rf"\begin{{tabular}}{{lr{'c' * len(columns)}}}", r"\toprule", lines[0], r"\midrule",
        *lines[1:], r"\bottomrule", r"\end{tabular}", ""])


def escape(text: str) -> str:
    """Escape the characters that LaTeX reads as commands."""
    return "".join(_SPECIAL.get(sign, sign) for sign in text)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _conditions(group: Group, baseline: Group) -> list[str]:
    """State how a group was tested."""
    record, number = group.runs[0].record, len(group.runs)
    images, others = ({(domain, path) for run in one.runs for domain in run.confusion
                       for path in run.by_path(domain)} for one in (group, baseline))
    return [_one_line(part) for part in (
        group.name, "1 run" if number == 1 else f"{number} runs",
        f"protocol {record.protocol or 'of the config'}", record.inference,
        "" if images == others else "OTHER IMAGES than the first row's: stars compare shared ones",
    ) if part]


def _values(group: Group, baseline: Group, columns: Sequence[str]) -> list[np.ndarray]:
    """Return the mIoU of all runs by column; a mean over other domains than the first is empty."""
    found, values = [run_miou(run) for run in group.runs], []
    same = {*group.runs[0].mean_domains} == {*baseline.runs[0].mean_domains}
    for name in columns:
        one = np.array([run.get(name, np.nan) for run in found if name != MEAN or same])
        values.append(one[~np.isnan(one)])
    return values


def _cell(values: np.ndarray) -> str:
    """Format a mean, and the sample standard deviation of two or more values."""
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
    found = paired_bootstrap(group, baseline, draws, seed)
    seeds = compare_over_seeds(group, baseline)
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
