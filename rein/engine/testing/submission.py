"""Predict test sets for benchmark servers; the function behind tools/test.py --submission."""

from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

from mmengine.config import Config
from mmengine.dist import is_main_process

from rein.atomic_files import naming_failures
from rein.engine.testing.options import EvaluationOptions
from rein.engine.testing.plan import plan_submission
from rein.engine.testing.tester import Tester, load_tester
from rein.errors import UserError
from rein.evaluation.results import image_names
from rein.evaluation.submission import check_submission, make_submission
from rein.folders import only_writer
from rein.models.int8 import quantize_frozen


class Submitted(NamedTuple):
    """A zip for a server, and its problems."""

    path: Path
    problems: list[str]


def make_predictions(
    cfg: Config, checkpoint: str, server: str, options: EvaluationOptions | None = None
) -> Submitted | None:
    """Predict a server's test images, pack the predictions and check the zip.

    Args:
        cfg: The whole config; its test datasets include the server's domains. Not modified.
        checkpoint: A full segmentor or a training checkpoint.
        server: "acdc" or "cityscapes".
        options: How to test, with at most one protocol. SERVER.zip and the trainId predictions are
            written to `out`, else to the work dir; `show_dir` is ignored.

    Returns:
        The zip in the main process; None in other processes.

    Raises:
        UserError: Data or weights are missing or do not fit, or the zip exists.
    """
    options = options or EvaluationOptions()
    cfg = plan_submission(cfg, checkpoint, server, options)
    path = Path(options.out or cfg.work_dir) / f"{server}.zip"
    if path.exists() and not options.force:
        raise UserError(f"{path}: exists. Set another --work-dir or --out, or use --force.")
    tester = load_tester(cfg, checkpoint, options)
    if options.int8:
        quantize_frozen(tester.model)
    predictions = Path(cfg.test_evaluator["output_dir"])
    with only_writer(predictions, "test") if is_main_process() else nullcontext():
        tester.runner.test()
        return _pack(tester, predictions, server, path) if is_main_process() else None


def _pack(tester: Tester, predictions: Path, server: str, path: Path) -> Submitted:
    """Write the zip from the predictions of a finished test, and check it."""
    images = tester.runner.test_evaluator.metrics[0].images
    files = [predictions / image.domain / Path(name).with_suffix(".png")
             for image, name in zip(images, image_names(images), strict=True) if not image.error]
    with naming_failures(path, "Make room or choose another folder with --out, then test again."):
        make_submission(files, server, path)
    names = [Path(image.path).stem for image in images]
    return Submitted(path, check_submission(path, server, names))
