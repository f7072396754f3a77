"""Write the reports of a test (results.json, .npz, .md, .html) and an overview of protocols."""

from collections.abc import Sequence
from pathlib import Path

from mmengine.logging import print_log

from rein.atomic_files import write_atomically
from rein.errors import UserError
from rein.evaluation.curves import Curves
from rein.evaluation.domain_iou import DGIoUMetric
from rein.evaluation.page import write_page
from rein.evaluation.report import paper_rows, write_markdown
from rein.evaluation.results import (
    RESULTS_FILE,
    DomainResults,
    RunRecord,
    load_run,
    save_results,
)


def check_free(folder: Path, record: RunRecord) -> None:
    """Refuse to replace the results of another test.

    Raises:
        UserError: The folder contains results of other weights or other test conditions.
    """
    if not (folder / RESULTS_FILE).exists():
        return
    try:
        there = load_run(folder).record
    except UserError as error:
        raise UserError(f"{error} Or use --force to replace it.") from None
    for name in ("digest", "config", "protocol", "sizes", "inference"):
        old, new = getattr(there, name), getattr(record, name)
        if old != new:
            raise UserError(
                f"{folder / RESULTS_FILE}: results of another test (its {name} is {old}, this "
                f"one's {new}). Set another --work-dir or --out, or use --force to replace it.")


def write_reports(
    folder: Path, metric: DGIoUMetric, record: RunRecord, curves: Curves,
    palette: Sequence[Sequence[int]],
) -> None:
    """Write the results of a test in four formats.

    Args:
        folder: Folder for the four files.
        metric: The metric after the test, in the main process.
        record: Weights and conditions of the test.
        curves: Training curves; empty if unknown.
        palette: One RGB colour per class.
    """
    table, images = metric.results_table, metric.images
    save_results(folder, table, images, record)
    write_markdown(folder / "results.md", table, images, record)
    write_page(folder / "results.html", table, images, record, curves, palette)
    print_log(f"results written to {folder}: results.html, .md, .json, .npz", logger="current")


def write_overview(path: Path, results: Sequence[tuple[RunRecord, DomainResults]]) -> None:
    """Write the rows of all protocols to one Markdown file; do nothing without results."""
    if results:
        facts = "\n".join(f"- {name}: {value}" for name, value in results[0][0].facts()
                          if name not in ("protocol", "resolution"))
        write_atomically(path, f"{paper_rows(results)}\n{facts}\n")
