"""The toy benchmark's report and plots, from the results of its cells."""

import json
import os
from collections.abc import Mapping, Sequence
from datetime import date
from functools import partial
from pathlib import Path

import matplotlib
import numpy as np
import torch

from rein.atomic_files import replacing, write_atomically
from rein.datasets.domains import domain_title
from rein.evaluation.comparison_report import compare, spread
from rein.evaluation.curves import read_curves
from rein.evaluation.report import markdown_rows
from toy.benchmark_cells import HEADS, IN_DOMAIN, ROOT, Cell, options_of

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402  after the choice of the backend
from matplotlib.figure import SubFigure  # noqa: E402
from matplotlib.ticker import MaxNLocator  # noqa: E402

PROTOCOL = (
    "All methods share the data, {head}the schedule (600 iterations of 4 crops) and the learning "
    "rate of 1e-3, of which a trained backbone takes a tenth{options}. The rate comes from a trial "
    "of Rein with an earlier toy model, scored on the targets; no method was tuned by itself. The "
    "last checkpoint counts.")

_TITLES = {  # by the first word of a test's folder
    ".": "", "acdc": "Conditions of ACDC, ", "in": "Held-out streets of the source, "}

_MOST_CURVES = 5  # more learning curves hide each other

COLOURS = {
    "random": "#9a9a9a", "freeze": "#4c78a8", "full": "#f2a03d", "rein": "#c23b3b",
    "lora": "#54a24b", "dora": "#88d27a", "soma": "#b279a2", "vpt": "#d6a5c9",
    "adaptformer": "#9d755d", "bitfit": "#d8b5a5", "norm_tuning": "#79706e",
    "linear": "#86bcb6", "linear4": "#499894", "rein_linear": "#e4572e", "semfpn": "#f1ce63",
    "eomt": "#e17fb0", "eomt_lora": "#a84c7d"}


def write_report(cells: Sequence[Cell], out: Path, tests: Sequence[str] = (".",)) -> None:
    """Write the comparison in Markdown: one section for each test.

    Args:
        cells: Trained and tested cells.
        out: The Markdown file; the plots are expected beside it.
        tests: Folders inside the cells', as from `list_tests`.
    """
    options = sorted({option for cell in cells for option in options_of(cell)})
    parts = [
        "# Toy benchmark",
        f"Measured on {date.today()} by `toy/benchmark.py` on {device()}: the toy street world, "
        "not the paper's datasets.",
        PROTOCOL.format(
            head="" if {cell.method for cell in cells} & {*HEADS} else "the head, ",
            options=f", but with `{' '.join(options)}`" if options else ""),
        f"![mIoU of each method]({out.stem}.png)"]
    for sources in sorted({cell.sources for cell in cells}, reverse=True):
        chosen = _rein_first([cell for cell in cells if cell.sources == sources])
        for test in tests:
            parts += [f"## {_TITLES[test.partition('_')[0]]}{sources} source pictures",
                      in_domain_table(chosen) if test == IN_DOMAIN != tests[0] else
                      compare([cell.folder / test for cell in chosen]).replace("# ", "### ")]
            if test == tests[0]:
                parts.append(cost_table(chosen))
    text = "\n\n".join(parts) + "\n"
    write_atomically(out, text.replace(f"{ROOT}{os.sep}", ""))


def _rein_first(cells: Sequence[Cell]) -> list[Cell]:
    """Sort Rein's cells to the front: the differences are against the first method."""
    return sorted(cells, key=lambda cell: cell.method != "rein")


def device() -> str:
    """Name what computes: the GPU, or the number of CPU threads."""
    if torch.cuda.is_available():
        return f"one {torch.cuda.get_device_name()}"
    threads = torch.get_num_threads()
    return f"{threads} CPU threads" if threads > 1 else "one CPU thread"


def cost_table(cells: Sequence[Cell]) -> str:
    """Tabulate trained parameters, time and memory of each method, in Markdown.

    Trainings that were interrupted have no time and do not count for its mean.
    """
    lines = ["| method | trained parameters | training, s | peak memory, MiB |",
             "|---|---|---|---|"]
    for method, members in _by_method(cells).items():
        folders = [cell.folder for cell in members]
        costs = [json.loads((folder / "cost.json").read_text()) for folder in folders]
        seconds, memory = (_mean([cost[key] for cost in costs]) for key in ("seconds", "peak_mib"))
        lines.append(f"| {method} | {trainable(folders[0])} | {seconds} | {memory} |")
    return "\n".join(lines)


def _mean(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{np.mean(known):.0f}" if known else "-"


def in_domain_table(cells: Sequence[Cell]) -> str:
    """Tabulate mIoU on held-out streets of the source and on the targets, in Markdown."""
    rows = []
    for method, members in _by_method(cells).items():
        sides = [[last_miou(cell.folder / test) for cell in members] for test in (IN_DOMAIN, ".")]
        rows.append([method, str(len(members)), *map(spread, sides)])
    return "mIoU in percent, mean and standard deviation over seeds\n\n" + markdown_rows(
        ["method", "runs", "source", "mean over the targets"], rows)


def trainable(folder: Path) -> str:
    """Read the number of trained parameters from a training's log."""
    for line in (folder / "train.log").read_text().splitlines():
        if "trainable: " in line:
            return line.split("trainable: ")[1].split(" of ")[0]
    return "?"


def draw_plots(cells: Sequence[Cell], path: Path, tests: Sequence[str] = (".",)) -> None:
    """Draw what was measured: dots by domain; targets against source, losses, source pictures.

    Args:
        cells: Trained and tested cells.
        path: The picture.
        tests: Folders inside the cells', as from `list_tests`.
    """
    counts, most = sorted({cell.sources for cell in cells}), max(cell.sources for cell in cells)
    groups = _by_method([cell for cell in cells if cell.sources == most])
    draws = []
    first, *others = tests
    if IN_DOMAIN in others:
        draws.append(partial(_draw_in_domain, groups=groups))
    losses = _losses(groups)
    if losses and len(groups) <= _MOST_CURVES:
        draws.append(partial(_draw_losses, losses=losses))
    if len(counts) > 1:
        draws.append(partial(_draw_sources, cells=cells, counts=counts, test=first))
    by_domain = [first, *(test for test in others if test != IN_DOMAIN)]
    heights = [0.9 + 0.26 * len(groups)] * len(by_domain) + [3.4] * bool(draws)
    figure = plt.figure(figsize=(11, sum(heights)), layout="constrained")
    rows = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    for row, test in zip(rows, by_domain, strict=False):
        _draw_dots(row, groups, test)
    if draws:
        axes = rows[-1].subplots(1, max(len(draws), 2), squeeze=False)[0]
        for axis in axes[len(draws):]:
            axis.set_visible(False)
        for draw, axis in zip(draws, axes, strict=False):
            draw(axis)
            axis.grid(axis="y", alpha=0.3)
            axis.spines[["top", "right"]].set_visible(False)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")
    plt.close(figure)


def _by_method(cells: Sequence[Cell]) -> dict[str, list[Cell]]:
    return {method: [cell for cell in cells if cell.method == method]
            for method in dict.fromkeys(cell.method for cell in cells)}


def _miou(folder: Path) -> Mapping[str, float]:
    """Read mIoU in percent by domain, and the mean over several domains."""
    results = json.loads((folder / "results.json").read_text())
    values = {domain_title(name): one["mIoU"] for name, one in results["domains"].items()}
    return {**values, "mean": results["mean"]["mIoU"]} if len(values) > 1 else values


def last_miou(folder: Path) -> float:
    """Read the mean mIoU over several domains, or the mIoU of the only one."""
    return list(_miou(folder).values())[-1]


def _draw_dots(
    figure: SubFigure, groups: Mapping[str, Sequence[Cell]], test: str,
) -> None:
    """Draw each run as a dot and the mean of each method as a line; a panel for each domain."""
    runs = {method: [_miou(cell.folder / test) for cell in members]
            for method, members in groups.items()}
    *domains, last = next(iter(runs.values()))[0]  # the mean, if there are several
    names = [last, *domains]
    best_last = sorted(runs, key=lambda method: np.mean([run[last] for run in runs[method]]))
    panels = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    for axes, name in zip(panels, names, strict=True):
        for y, method in enumerate(best_last):
            values = [run[name] for run in runs[method]]
            axes.scatter(values, [y] * len(values), 18, color=COLOURS[method], alpha=0.6, zorder=3)
            axes.plot([np.mean(values)] * 2, [y - 0.36, y + 0.36], color=COLOURS[method], lw=2.5)
        axes.set(title=name, yticks=range(len(best_last)), yticklabels=best_last)
        axes.grid(axis="x", alpha=0.3)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    figure.supxlabel("mIoU, %: a dot for each run, a line for their mean", fontsize="medium")


def _draw_in_domain(axes: plt.Axes, groups: Mapping[str, Sequence[Cell]]) -> None:
    """Draw the mean over the targets against held-out streets of the source, means over seeds."""
    for method, members in groups.items():
        x, y = (np.mean([last_miou(cell.folder / test) for cell in members])
                for test in (IN_DOMAIN, "."))
        axes.scatter(x, y, color=COLOURS[method])
        axes.annotate(method, (x, y), (5, 3), textcoords="offset points", fontsize="small")
    axes.margins(0.15)
    axes.set(xlabel="held-out streets of the source, mIoU, %", ylabel="mean over the targets",
             title="targets against source")


def _losses(groups: Mapping[str, Sequence[Cell]]) -> dict[str, dict[int, float]]:
    """Read the training loss by step, averaged over the seeds of each method.

    Trainings shorter than the logging interval have none.
    """
    means = {}
    for method, members in groups.items():
        files = [sorted(cell.folder.glob("train/*/vis_data/scalars.json")) for cell in members]
        runs = [dict(read_curves(starts).get("loss", ())) for starts in files]
        steps = sorted(set.intersection(*(set(run) for run in runs)))
        if steps:
            means[method] = {step: np.mean([run[step] for run in runs]) for step in steps}
    return means


def _draw_losses(axes: plt.Axes, losses: Mapping[str, Mapping[int, float]]) -> None:
    """Draw the training loss of each method."""
    for method, means in losses.items():
        axes.plot(list(means), list(means.values()), color=COLOURS[method], label=method)
    axes.legend(frameon=False)
    axes.set(xlabel="iteration", ylabel="training loss", title="learning curves")


def _draw_sources(
    axes: plt.Axes, cells: Sequence[Cell], counts: Sequence[int], test: str,
) -> None:
    """Draw mIoU in a test against the number of source pictures."""
    for method, members in _by_method(cells).items():
        means = [[last_miou(cell.folder / test) for cell in members if cell.sources == n]
                 for n in counts]
        axes.errorbar(counts, [np.mean(m) for m in means], color=COLOURS[method], marker="o",
                      yerr=[np.std(m, ddof=1) if len(m) > 1 else 0 for m in means], capsize=3)
    title = "held-out streets of the source" if test == IN_DOMAIN else "mean over the targets"
    axes.set(xlabel="source pictures", ylabel="mIoU, %", xticks=counts, title=title)
