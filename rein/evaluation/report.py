"""Tables of results for the terminal, Markdown and papers."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from rein.atomic_files import write_atomically
from rein.datasets.domains import domain_title
from rein.evaluation.confidence import BINS, Reliability
from rein.evaluation.results import DomainResults, ImageResult, RunRecord, reliability_of


def table_rows(results: DomainResults) -> list[list[str]]:
    """Arrange the results as a header, one row per class, then mIoU, mAcc and aAcc.

    Returns:
        Rows of cells: name, one value per domain, mean; percent with two decimals, "-" for NaN.
    """
    names = (*results.classes, "mIoU", "mAcc", "aAcc")
    values = np.column_stack([results.iou, results.miou, results.macc, results.aacc])
    columns = np.vstack([values, results.mean(values)]).T
    header = ["class", *map(domain_title, results.domains), "mean"]
    return [header] + [
        [name, *map(percent, cells)] for name, cells in zip(names, columns, strict=True)]


def percent(value: float, digits: int = 2) -> str:
    """Format a number with `digits` decimals, NaN as "-"."""
    return "-" if np.isnan(value) else f"{value:.{digits}f}"


def _caption(results: DomainResults) -> str:
    protocol = f", protocol `{results.protocol}`" if results.protocol else ""
    counted = "" if results.mean_domains == results.domains else (
        f"; mean over {', '.join(map(domain_title, results.mean_domains))}")
    return f"IoU in percent{protocol}{counted}"


def text_table(results: DomainResults) -> str:
    """Format the results as a table for a terminal or a log."""
    from prettytable import PrettyTable

    header, *rows = table_rows(results)
    table = PrettyTable(header, title=_caption(results))
    table.align = "r"
    table.align[header[0]] = "l"
    for number, row in enumerate(rows, 1):
        table.add_row(row, divider=number == len(results.classes))
    return table.get_string()


def markdown_rows(header: Sequence[str], rows: Sequence[Sequence[str]], words: int = 1) -> str:
    """Format a Markdown table whose first `words` columns are text and the rest numbers."""
    marks = [":--"] * words + ["--:"] * (len(header) - words)
    return "\n".join(f"| {' | '.join(line)} |" for line in (header, marks, *rows))


def markdown_table(results: DomainResults) -> str:
    """Format the results as a Markdown table below a caption; the mIoU row is bold."""
    header, *rows = table_rows(results)
    rows = [[f"**{cell}**" for cell in row] if row[0] == "mIoU" else row for row in rows]
    return f"{_caption(results)}\n\n{markdown_rows(header, rows)}\n"


def paper_rows(runs: Sequence[tuple[RunRecord, DomainResults]]) -> str:
    """Format one row of mIoUs per run, as papers print them, in Markdown and in LaTeX.

    Args:
        runs: Settings and results; a domain that a run lacks is "-" in its row.
    """
    domains = list(dict.fromkeys(name for _, results in runs for name in results.domains))
    header = ["config", "checkpoint", "protocol", *map(domain_title, domains), "mean"]
    lines, latex = [], []
    for record, results in runs:
        found = dict(zip(results.domains, results.miou, strict=True))
        values = [*(found.get(name, np.nan) for name in domains), results.mean(results.miou)]
        lines.append([record.config, f"`{record.digest[:12]}`", record.protocol or "the config's",
                      *map(percent, values)])
        cells = " & ".join(percent(value, 1) for value in values)
        name = record.config.replace("_", r"\_")
        latex.append(rf"{name} & {cells} \\  % protocol {record.protocol or 'of the config'}")
    table = markdown_rows(header, lines, words=3)
    return f"mIoU in percent\n\n{table}\n\n```latex\n{chr(10).join(latex)}\n```\n"


def reliability_rows(reliability: Mapping[str, Reliability]) -> list[list[str]]:
    """Arrange confidence and accuracy as a header and one row per domain, in percent."""
    header = ["domain", "ECE", "mean confidence", "accuracy", "images flagged"]
    return [header] + [
        [domain_title(name), *map(percent, (one.error, one.confidence, one.accuracy)),
         percent(one.flagged, 0)] for name, one in reliability.items()]


def reliability_text(reliability: Mapping[str, Reliability]) -> str:
    """Format confidence and accuracy as Markdown below a caption."""
    header, *rows = reliability_rows(reliability)
    return (f"Confidence in percent: expected calibration error (ECE, {BINS} bins), and the images "
            f"whose features lie far from the training's\n\n{markdown_rows(header, rows)}\n")


def failures_text(images: Sequence[ImageResult]) -> str:
    """List the failed images, one per line; "" if there are none."""
    failed = [image for image in images if image.error]
    if not failed:
        return ""
    lines = [f"- {domain_title(image.domain)}: {image.error}" for image in failed]
    return (f"{len(failed)} of {len(images)} images failed and are excluded:\n\n"
            + "\n".join(lines) + "\n")


def write_markdown(
    path: str | Path, results: DomainResults, images: Sequence[ImageResult], record: RunRecord,
) -> None:
    """Write the mIoU row, failures, the table of all classes, confidence and the run's record."""
    facts = "\n".join(f"- {name}: {value}" for name, value in record.facts())
    reliability = reliability_of(images)
    parts = [paper_rows([(record, results)]), failures_text(images), markdown_table(results),
             reliability_text(reliability) if reliability else "", facts]
    write_atomically(Path(path), "\n".join(part for part in parts if part) + "\n")
