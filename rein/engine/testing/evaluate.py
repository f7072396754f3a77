"""Test a checkpoint and write the reports; the function behind tools/test.py."""

import dataclasses
from pathlib import Path
from typing import NamedTuple

from mmengine.config import Config

from rein.engine.testing.options import EvaluationOptions
from rein.engine.testing.plan import PlannedTest, plan_tests
from rein.engine.testing.record import describe_weights, training_curves
from rein.engine.testing.reports import check_free, write_overview, write_reports
from rein.engine.testing.tester import Tester, load_tester
from rein.evaluation.domain_iou import DGIoUMetric
from rein.evaluation.pictures import PredictionPictures
from rein.evaluation.results import ImageResult, RunRecord
from rein.models.int8 import quantize_frozen


class Tested(NamedTuple):
    """Result of testing under one protocol.

    Attributes:
        metrics: IoU per domain and their mean, in percent.
        folder: Folder of the reports.
        failed: Images that could not be read, with reasons; empty except in the main process.
    """

    metrics: dict[str, float]
    folder: Path
    failed: tuple[ImageResult, ...] = ()


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
        UserError: Data or weights are missing or do not fit, or the folder contains results of
            another test.
        OSError: A folder to write to cannot be created.
    """
    options = options or EvaluationOptions()
    tests = plan_tests(cfg, checkpoint, options)
    for folder in (options.out, options.show_dir, tests[0].cfg.work_dir):
        if folder:  # before hours of testing
            Path(folder).mkdir(parents=True, exist_ok=True)
    tester = load_tester(tests[0].cfg, checkpoint, options)
    weights = describe_weights(tester.model, tester.content, checkpoint, cfg)
    records = [dataclasses.replace(weights, **test.conditions) for test in tests]
    reports = Path(options.out or tests[0].cfg.work_dir)
    if not options.force:
        for test, record in zip(tests, records, strict=True):
            check_free(reports / test.name, record)
    if options.int8:
        quantize_frozen(tester.model)
    return _run_all(tests, records, tester, reports, checkpoint, options)


def _run_all(
    tests: list[PlannedTest], records: list[RunRecord], tester: Tester, reports: Path,
    checkpoint: str, options: EvaluationOptions,
) -> list[Tested]:
    """Run the tests one by one, write the reports of each, then the overview."""
    curves = training_curves(tester.content, checkpoint)
    tested, results = [], []
    for test, record in zip(tests, records, strict=True):
        folder = reports / test.name
        metrics, metric = _run(test, tester, options)
        failed = ()
        if metric is not None:
            palette = tester.runner.test_dataloader.dataset.metainfo["palette"]
            write_reports(folder, metric, record, curves, palette)
            failed = tuple(image for image in metric.images if image.error)
            results.append((record, metric.results_table))
        tested.append(Tested(metrics, folder, failed))
    if options.protocols:
        write_overview(reports / f"{options.name_of('protocols')}.md", results)
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
         if isinstance(metric, DGIoUMetric) and metric.results_table is not None), None)
