"""Test a checkpoint and write the reports; the function behind tools/test.py."""

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from mmengine.config import Config
from mmengine.dist import barrier, is_main_process

from rein.atomic_files import naming_failures, remove_stale
from rein.datasets.building import build_dataset
from rein.datasets.image_folders import image_paths
from rein.engine.configs.checking import check_config
from rein.engine.testing.options import EvaluationOptions
from rein.engine.testing.plan import PlannedTest, plan_tests
from rein.engine.testing.record import describe_weights, training_curves
from rein.engine.testing.reports import check_free, write_overview, write_reports
from rein.engine.testing.tester import Tester, load_tester
from rein.evaluation.domain_iou import DGIoUMetric
from rein.evaluation.pictures import PredictionPictures
from rein.evaluation.results import ImageResult, RunRecord
from rein.folders import new_folders, only_writer, remove_leftovers
from rein.models.int8 import quantize_frozen
from rein.paths import resolve_paths


class Tested(NamedTuple):
    """Result of testing under one protocol.

    Attributes:
        metrics: IoU per domain and their mean, in percent; empty if only predictions are written.
        folder: Folder of the reports.
        failed: Images that could not be read, with reasons; empty except in the main process.
        written: Main file or folder written; None if the config uses another metric than
            `DGIoUMetric`, or in other processes.
    """

    metrics: dict[str, float]
    folder: Path
    failed: tuple[ImageResult, ...] = ()
    written: Path | None = None


def evaluate_checkpoint(
    cfg: Config, checkpoint: str, options: EvaluationOptions | None = None
) -> list[Tested]:
    """Test a checkpoint on the config's test datasets.

    Each test writes results.json, results.npz, results.md and results.html to a folder named after
    the protocol and those of `mode`, `tta` and `int8` that are set.

    Args:
        cfg: The whole config; not modified.
        checkpoint: A full segmentor or a training checkpoint.
        options: How to test; default: as the config sets it.

    Returns:
        One result per protocol.

    Raises:
        UserError: Data or weights are missing or do not fit, the folder contains results of
            another test, or another test is writing to it.
        OSError: A folder to write to cannot be created.
    """
    options = options or EvaluationOptions()
    check_config(cfg)
    tests = plan_tests(cfg, checkpoint, options)
    reports = Path(options.out or tests[0].cfg.work_dir)
    folders = [options.show_dir, tests[0].cfg.work_dir, *(reports / test.name for test in tests)]
    with new_folders(*(Path(folder) for folder in folders if folder)):  # before hours of testing
        return _evaluate(cfg, checkpoint, options, tests, reports)


def _evaluate(
    cfg: Config, checkpoint: str, options: EvaluationOptions, tests: list[PlannedTest],
    reports: Path,
) -> list[Tested]:
    """Load the checkpoint, run the planned tests and write their reports."""
    tester = load_tester(tests[0].cfg, checkpoint, options)
    weights = describe_weights(tester.model, tester.content, checkpoint, cfg)
    records = [dataclasses.replace(weights, **test.conditions) for test in tests]
    with _claimed(reports, tests, options):
        if not options.force:
            for test, record in zip(tests, records, strict=True):
                check_free(reports / test.name, record, lambda cfg=test.cfg: _images(cfg))
        if options.int8:
            quantize_frozen(tester.model)
        return _run_all(tests, records, tester, reports, checkpoint, options)


@contextlib.contextmanager
def _claimed(
    reports: Path, tests: list[PlannedTest], options: EvaluationOptions,
) -> Iterator[None]:
    """Lock the folders of the tests and remove what killed tests left there.

    Raises:
        UserError: Another test is writing to one of them.
    """
    folders = [reports / test.name for test in tests]
    shown = [Path(options.show_dir) / test.name for test in tests] if options.show_dir else []
    with contextlib.ExitStack() as locks:
        if is_main_process():
            for folder in {folder.resolve(): folder for folder in (*folders, *shown)}.values():
                with naming_failures(folder, "Choose another folder."):
                    locks.enter_context(only_writer(folder, "test"))
            with naming_failures(reports, "Remove the files in it that end in .tmp."):
                for folder in folders:
                    remove_leftovers(folder, folder / "predictions")
                for folder in shown:
                    remove_leftovers(folder, folder)
                remove_stale(reports)
        barrier()  # other processes write only after the clean-up
        yield


def _images(cfg: Config) -> dict[str, set[str]]:
    """List the images that a planned test would use, by domain."""
    return image_paths(build_dataset(resolve_paths(cfg).test_dataloader.dataset))


def _run_all(
    tests: list[PlannedTest], records: list[RunRecord], tester: Tester, reports: Path,
    checkpoint: str, options: EvaluationOptions,
) -> list[Tested]:
    """Run the tests one by one, write the reports of each, then the overview."""
    curves = training_curves(tester.content, checkpoint)
    tested = []
    for test, record in zip(tests, records, strict=True):
        folder = reports / test.name
        metrics, metric = _run(test, tester, options)
        written, failed = None, ()
        if metric is not None:
            failed = tuple(image for image in metric.images if image.error)
            written = Path(metric.output_dir or folder)
        if metric is not None and not metric.format_only:
            palette = tester.runner.test_dataloader.dataset.metainfo["palette"]
            write_reports(folder, metric, record, curves, palette)
            written = folder / "results.html"
            if options.protocols:
                write_overview(reports, options, record)
        tested.append(Tested(metrics, folder, failed, written))
    return tested


def _run(
    test: PlannedTest, tester: Tester, options: EvaluationOptions
) -> tuple[dict[str, float], DGIoUMetric | None]:
    """Run one test.

    Returns:
        The measured values, and the `DGIoUMetric` with its results; None if the config uses another
        metric or this is not the main process.
    """
    runner, hooks = tester.runner, list(tester.runner.hooks)
    if options.show_dir:
        runner.register_hook(PredictionPictures(str(Path(options.show_dir) / test.name)))
    runner.prepare_test(test.cfg)
    metrics = runner.test()
    runner.hooks[:] = hooks
    return metrics, next(
        (metric for metric in runner.test_evaluator.metrics
         if isinstance(metric, DGIoUMetric) and metric.images), None)
