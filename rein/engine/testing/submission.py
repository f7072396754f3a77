"""Predictions for the test sets whose labels only a server has, as tools/test.py makes them."""

from pathlib import Path
from typing import NamedTuple

from mmengine.config import Config
from mmengine.dist import is_main_process

from rein.checkpoint import load_file
from rein.engine.config import find_path
from rein.engine.testing.evaluate import load_runner, prepare
from rein.engine.testing.protocols import apply_protocol, for_submission, set_mode, use_tta
from rein.errors import UserError
from rein.evaluation.submission import check_submission, make_submission
from rein.models.int8 import quantize_frozen


class Submitted(NamedTuple):
    """A zip for a server, and what is wrong with it."""

    path: Path
    problems: list[str]


def submit(
    cfg: Config,
    checkpoint: str,
    server: str,
    backbone: str | None = None,
    work_dir: str | None = None,
    out: str | None = None,
    tta: bool = False,
    protocol: str = "",
    mode: str | None = None,
    force: bool = False,
    launcher: str = "none",
    allow_other_backbone: bool = False,
    int8: bool = False,
) -> Submitted | None:
    """Predict a server's test images, pack the predictions and check the zip.

    Args:
        cfg: The whole config; its test datasets include the server's domains.
        checkpoint: A full segmentor or what training saved.
        server: "acdc" or "cityscapes".
        backbone: Pretrained weights, for a checkpoint without; default: what the config names.
        work_dir: Where the log goes.
        out: Folder for SERVER.zip and the predictions as trainIds; default: the work dir.
        tta: Average over scales and flips.
        protocol: Of `rein.engine.testing.protocols`; "": as the config has it.
        mode: "slide" or "whole"; default: the config's.
        force: Replace a zip that is there.
        launcher: none, pytorch, slurm or mpi.
        allow_other_backbone: Test with another frozen backbone than the checkpoint's.
        int8: Let the frozen backbone compute in int8; on a CPU only.

    Returns:
        The zip in the main process, None in others.

    Raises:
        UserError: Data or weights are missing or do not fit, or the zip exists.
    """
    content = load_file(find_path(checkpoint))
    prepare(cfg, checkpoint, work_dir, launcher)
    folder = Path(out or cfg.work_dir)
    path = folder / f"{server}.zip"
    if path.exists() and not force:
        raise UserError(f"{path}: exists. Give another --work-dir or --out, or --force.")
    if mode or protocol:
        set_mode(cfg, mode or "slide")
    if protocol:
        cfg = apply_protocol(cfg, protocol)
    cfg = for_submission(cfg, server)
    predictions = folder / f"{server}_predictions"
    cfg.test_evaluator["output_dir"] = str(predictions)
    if tta:
        use_tta(cfg)
    runner, model = load_runner(cfg, content, checkpoint, backbone, tta, allow_other_backbone)
    if int8:
        quantize_frozen(model)
    runner.test()
    if not is_main_process():
        return None
    images = runner.test_evaluator.metrics[0].images
    files = [predictions / image.domain / f"{Path(image.path).stem}.png"
             for image in images if not image.error]
    make_submission(files, server, path)
    names = [Path(image.path).stem for image in images]
    return Submitted(path, check_submission(path, server, names))
