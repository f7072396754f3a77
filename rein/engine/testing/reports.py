"""Write the reports of a test (results.json, .npz, .md, .html) and an overview of protocols."""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from mmengine.logging import print_log

from rein.atomic_files import naming_failures, write_atomically
from rein.datasets.domains import domain_title
from rein.engine.testing.options import EvaluationOptions
from rein.engine.testing.protocols import described_protocols
from rein.errors import UserError
from rein.evaluation.curves import Curves
from rein.evaluation.domain_iou import DGIoUMetric
from rein.evaluation.page import write_page
from rein.evaluation.report import paper_rows, write_markdown
from rein.evaluation.result_files import RESULTS_FILE, SavedRun, load_run, save_results
from rein.evaluation.results import RunRecord
from rein.folders import replacing_together

_ADVICE = "Make room or choose another folder with --out, then test again."


def check_free(
    folder: Path, record: RunRecord, images: Callable[[], Mapping[str, set[str]]] = dict,
) -> None:
    """Refuse to replace the results of another test.

    Args:
        folder: Folder of the reports.
        record: Weights and conditions of the test.
        images: Returns the paths of the images to test by domain, as `image_paths` does. Called
            only if there are results of the same weights and conditions.

    Raises:
        UserError: The folder contains results of other weights, test conditions or images.
    """
    if not (folder / RESULTS_FILE).exists():
        return
    try:
        there = load_run(folder, whole=False)
    except UserError as error:
        raise UserError(f"{error} Or use --force to replace it.") from None
    for name in ("digest", "config", "protocol", "sizes", "inference"):
        old, new = getattr(there.record, name), getattr(record, name)
        if old != new:
            raise _other_test(folder, f"its {name} is {old}, this one's {new}")
    for domain, new in images().items():
        old = _tested_images(there, domain)
        if domain in there.folders and old != new:
            raise _other_test(folder, f"{len(old)} images of {domain_title(domain)}, this one has "
                                      f"{len(new)}; {len(old & new)} are the same")


def _other_test(folder: Path, difference: str) -> UserError:
    return UserError(
        f"{folder / RESULTS_FILE}: results of another test ({difference}). Set another --work-dir "
        "or --out, or use --force to replace it.")


def _tested_images(run: SavedRun, domain: str) -> set[str]:
    names = [*run.confusion.get(domain, {}), *run.failed.get(domain, [])]
    return {run.path_of(domain, name) for name in names}


def write_reports(
    folder: Path, metric: DGIoUMetric, record: RunRecord, curves: Curves,
    palette: Sequence[Sequence[int]],
) -> None:
    """Write the results of a test in four formats, all or none.

    Args:
        folder: Folder for the four files.
        metric: The metric after the test, in the main process.
        record: Weights and conditions of the test.
        curves: Training curves; empty if unknown.
        palette: One RGB colour per class.

    Raises:
        UserError: The files cannot be written.
    """
    table, images = metric.results_table, metric.images
    with naming_failures(folder, _ADVICE), replacing_together(folder, RESULTS_FILE) as staging:
        save_results(staging, table, images, record)
        write_markdown(staging / "results.md", table, images, record)
        write_page(staging / "results.html", table, images, record, curves, palette)
    print_log(f"results written to {folder}: results.html, .md, .json, .npz", logger="current")


def write_overview(folder: Path, options: EvaluationOptions, record: RunRecord) -> None:
    """Write the rows of all protocols to one Markdown file, including those of earlier tests.

    Args:
        folder: Folder with a subfolder of results for each protocol.
        options: How this test was run.
        record: Record of this test; earlier ones count if weights and inference are the same.

    Raises:
        UserError: The file cannot be written.
    """
    path, text = folder / f"{options.name_of('protocols')}.md", None
    with naming_failures(path, _ADVICE):
        # another test may add its protocol meanwhile; the last to write sees all
        while text != (text := _overview(_runs_like(folder, options, record))):
            write_atomically(path, text)


def _runs_like(
    folder: Path, options: EvaluationOptions, record: RunRecord,
) -> list[SavedRun]:
    """Load the tests in the subfolders that differ only in their protocol."""
    order = [*described_protocols()]
    found = {}
    for path in sorted(folder.glob(f"*/{RESULTS_FILE}")):
        try:
            run = load_run(path.parent)
        except UserError as error:
            print_log(f"not in the overview: {error}", "current", logging.WARNING)
            continue
        there = run.record
        same = all(getattr(there, name) == getattr(record, name)
                   for name in ("digest", "config", "inference"))
        in_place = path.parent.name == options.name_of(there.protocol)
        if same and in_place and any(run.confusion.values()):
            found[there.protocol] = run
    return [found[name] for name in sorted(
        found, key=lambda name: (name not in order, order.index(name) if name in order else name))]


def _overview(runs: Sequence[SavedRun]) -> str:
    facts = "\n".join(f"- {name}: {value}" for name, value in runs[-1].record.facts()
                      if name not in ("protocol", "resolution"))
    return f"{paper_rows([(run.record, run.results()) for run in runs])}\n{facts}\n"
