"""Testing a checkpoint, as tools/test.py does it."""

import copy
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config
from mmengine.logging import print_log
from torch import nn

from rein.atomic_files import write_atomically
from rein.checkpoint import load_file
from rein.engine.config import find_path, load_config
from rein.engine.hooks import unwrap
from rein.engine.runner import ReinRunner
from rein.engine.testing.protocols import (
    apply_protocol,
    dg_evaluator,
    set_mode,
    test_datasets,
    use_tta,
)
from rein.engine.testing.record import describe_inference, describe_weights, training_curves
from rein.engine.weights import carried_config, load_for_testing
from rein.errors import UserError
from rein.evaluation.curves import Curves
from rein.evaluation.domain_iou import DGIoUMetric
from rein.evaluation.page import write_page
from rein.evaluation.pictures import PredictionPictures
from rein.evaluation.report import paper_rows, write_markdown
from rein.evaluation.results import (
    RESULTS_FILE,
    DomainResults,
    ImageResult,
    RunRecord,
    load_run,
    save_results,
)
from rein.models.int8 import quantize_frozen


class Tested(NamedTuple):
    """A test of one protocol.

    Attributes:
        metrics: IoU per domain and their mean, in percent.
        folder: Where its reports are.
        failed: What could not be read, and why; only the main process knows.
    """

    metrics: dict[str, float]
    folder: Path
    failed: tuple[ImageResult, ...] = ()


class _Variant(NamedTuple):
    """One protocol's test; `name` is its folder below where reports go, "" for none of its own."""

    name: str
    cfg: Config
    record: RunRecord


def read_config(path: str) -> Config:
    """Read a config file, or the config that a checkpoint carries, as data.

    Raises:
        UserError: There is none.
    """
    if Path(path).suffix not in (".pth", ".pt", ".safetensors"):
        return load_config(path)
    cfg = carried_config(load_file(find_path(path), "meta"), path)  # no value of a weight
    if cfg is None:
        raise UserError(
            f"{path}: carries no config. Give one: `python tools/test.py CONFIG {path}`.")
    return cfg


def test(
    cfg: Config,
    checkpoint: str,
    backbone: str | None = None,
    work_dir: str | None = None,
    out: str | None = None,
    show_dir: str | None = None,
    tta: bool = False,
    protocols: Sequence[str] = (),
    mode: str | None = None,
    force: bool = False,
    launcher: str = "none",
    allow_other_backbone: bool = False,
    int8: bool = False,
) -> list[Tested]:
    """Test a checkpoint on the config's test datasets.

    Each leaves results.json, results.npz, results.md and results.html, in a folder named after
    `protocols`, `mode`, `tta` and `int8` where they are given.

    Args:
        cfg: The whole config; it is changed to what is run.
        checkpoint: A full segmentor or what training saved.
        backbone: Pretrained weights, for a checkpoint without; default: what the config names.
        work_dir: Where the log goes, and the reports.
        out: Folder for the reports instead, and the predictions as trainId PNGs.
        show_dir: Folder for pictures: image, truth and prediction side by side.
        tta: Average over scales and flips.
        protocols: Of `rein.engine.testing.protocols`. None: as the config has it.
        mode: "slide" or "whole"; default: the config's, and slide for a protocol.
        force: Replace results of another test.
        launcher: none, pytorch, slurm or mpi.
        allow_other_backbone: Test with another frozen backbone than the checkpoint's.
        int8: Let the frozen backbone compute in int8; on a CPU only.

    Returns:
        One for each protocol.

    Raises:
        UserError: Data or weights are missing or do not fit, or results of another test are
            in the way.
    """
    content = load_file(find_path(checkpoint))
    prepare(cfg, checkpoint, work_dir, launcher)
    if mode or protocols:
        set_mode(cfg, mode or "slide")
    variants = {name: apply_protocol(cfg, name) for name in protocols} or {"": cfg}
    tested = [_for_testing(variant, tta) for variant in variants.values()]
    runner, model = load_runner(
        tested[0], content, checkpoint, backbone, tta, allow_other_backbone)
    weights = describe_weights(model, content, checkpoint, cfg)
    if int8:
        quantize_frozen(model)
    reports = Path(out or cfg.work_dir)
    flags = [mode, "tta" if tta else None, "int8" if int8 else None]
    runs = []
    for (protocol, variant), ready in zip(variants.items(), tested, strict=True):
        record = dataclasses.replace(weights, **describe_inference(variant, tta, int8))
        name = "_".join(part for part in (protocol, *flags) if part)
        if not force:
            check_free(reports / name, record)
        runs.append(_Variant(name, ready, record))
    curves = training_curves(content, checkpoint)
    results = [_test_one(runner, run, reports, bool(out), show_dir, curves) for run in runs]
    if protocols:
        _write_overview(reports / ("_".join(["protocols", *filter(None, flags)]) + ".md"), results)
    return [one.tested for one in results]


test.__test__ = False  # not a test of pytest's


def prepare(cfg: Config, checkpoint: str, work_dir: str | None, launcher: str) -> None:
    """Set where a test runs, and leave out what it has no use for."""
    cfg.work_dir = work_dir or str(Path("work_dirs") / Path(checkpoint).stem)
    cfg.launcher, cfg.load_from, cfg.resume = launcher, None, False
    for key in ("train_dataloader", "train_cfg", "optim_wrapper", "param_scheduler",
                "val_dataloader", "val_cfg", "val_evaluator"):
        cfg.pop(key, None)


def load_runner(
    cfg: Config, content: Mapping[str, Any], checkpoint: str, backbone: str | None, tta: bool,
    allow_other_backbone: bool = False,
) -> tuple[ReinRunner, nn.Module]:
    """Build the runner of a config and load its model's weights.

    Returns:
        The runner, and the segmentor, without wrappers of several processes or of `tta`.
    """
    runner = ReinRunner.from_cfg(cfg)
    model = unwrap(runner.model)
    model = model.module if tta else model
    model.keep_logits = tta
    load_for_testing(model, content, checkpoint, backbone, allow_other_backbone)
    return runner, model


def _for_testing(cfg: Config, tta: bool) -> Config:
    """Copy a protocol's config and let it keep examples and, with `tta`, average."""
    cfg = copy.deepcopy(cfg)
    evaluator = dg_evaluator(cfg)
    if evaluator is not None:
        evaluator.setdefault("examples", 2 if len(test_datasets(cfg)) <= 8 else 1)
    if tta:
        use_tta(cfg)
    return cfg


def check_free(folder: Path, record: RunRecord) -> None:
    """Refuse to replace the results of another test.

    Raises:
        UserError: The folder holds results of other weights or of another way to test.
    """
    if not (folder / RESULTS_FILE).exists():
        return
    try:
        there = load_run(folder).record
    except UserError as error:
        raise UserError(f"{error} Or --force to replace it.") from None
    for name in ("digest", "config", "protocol", "sizes", "inference"):
        old, new = getattr(there, name), getattr(record, name)
        if old != new:
            raise UserError(
                f"{folder / RESULTS_FILE}: results of another test (its {name} is {old}, this "
                f"one's {new}). Give another --work-dir or --out, or --force to replace it.")


class _Result(NamedTuple):
    """A test with all that reports are made of; `table` is None in all but the main process."""

    tested: Tested
    record: RunRecord
    table: DomainResults | None


def _test_one(
    runner: ReinRunner, run: _Variant, reports: Path, predictions: bool, show_dir: str | None,
    curves: Curves,
) -> _Result:
    folder, evaluator, hooks = reports / run.name, dg_evaluator(run.cfg), list(runner.hooks)
    if predictions and evaluator is not None:
        evaluator["output_dir"] = str(folder / "predictions")
    if show_dir:
        runner.register_hook(PredictionPictures(str(Path(show_dir) / run.name)))
    runner.prepare_test(run.cfg)
    metrics = runner.test()
    runner.hooks[:] = hooks
    metric = next((m for m in runner.test_evaluator.metrics if isinstance(m, DGIoUMetric)), None)
    if metric is None or metric.results_table is None:  # not our metric, or not the main process
        return _Result(Tested(metrics, folder), run.record, None)
    table, images = metric.results_table, metric.images
    save_results(folder, table, images, run.record)
    write_markdown(folder / "results.md", table, images, run.record)
    palette = runner.test_dataloader.dataset.metainfo["palette"]
    write_page(folder / "results.html", table, images, run.record, curves, palette)
    print_log(f"results are in {folder}: results.html, .md, .json, .npz", logger="current")
    failed = tuple(image for image in images if image.error)
    return _Result(Tested(metrics, folder, failed), run.record, table)


def _write_overview(path: Path, results: Sequence[_Result]) -> None:
    """Write the rows of all protocols to one Markdown file."""
    known = [(one.record, one.table) for one in results if one.table is not None]
    if known:
        facts = "\n".join(f"- {name}: {value}" for name, value in known[0][0].facts()
                          if name not in ("protocol", "resolution"))
        write_atomically(path, f"{paper_rows(known)}\n{facts}\n")
