"""Test a checkpoint on the target domains of a config.

    python tools/test.py CONFIG CHECKPOINT
    python tools/test.py CONFIG CHECKPOINT --protocol rein full
    python tools/test.py CONFIG CHECKPOINT --submission acdc
    python tools/test.py CONFIG CHECKPOINT --calibrate
    python tools/test.py checkpoints/dinov2_segmentor.pth checkpoints/dinov2_segmentor.pth

The last form uses the config stored in the merged checkpoint; it is read as data, not executed.

Writes results.html, .md, .json and .npz to the work dir, or to a subfolder named after the given
--protocol, --mode, --tta and --int8. With --calibrate it tests nothing: it writes the temperature
of the confidence and statistics of the source's features into CHECKPOINT. Exits with 3 if images
could not be read (they are listed; the results cover the others), and with 1 on any other error.
"""

import argparse
import os
import sys
from dataclasses import fields
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # works without installation

from rein.cli import add_data, command_parser, run_command  # noqa: E402
from rein.errors import UserError  # noqa: E402


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = command_parser(__doc__)
    parser.add_argument(
        "config", help="config file or its name, or a checkpoint that contains its config")
    parser.add_argument("checkpoint", help="merged segmentor, or training checkpoint")
    add_data(parser)
    parser.add_argument(
        "--backbone", metavar="PATH",
        help="pretrained weights, converted or as downloaded, for a training checkpoint; default: "
             "the config's file")
    parser.add_argument(
        "--allow-other-backbone", action="store_true",
        help="allow a frozen backbone other than the one the checkpoint was trained with")
    parser.add_argument(
        "--protocol", nargs="+", default=[], metavar="NAME", dest="protocols",
        help="rein (Cityscapes and Mapillary at half size, as in the paper), full (full size), or "
             "both; default: the config's settings")
    parser.add_argument(
        "--mode", choices=["slide", "whole"],
        help="predict sliding crops or the whole image; default: the config's mode")
    parser.add_argument("--tta", action="store_true", help="average over scales and flips")
    parser.add_argument(
        "--raw-weights", action="store_true",
        help="test the raw weights of a checkpoint trained with EMAHook; default: their average")
    parser.add_argument(
        "--int8", action="store_true",
        help="run the frozen backbone in int8 on the CPU: faster, with nearly the same result")
    parser.add_argument(
        "--work-dir", metavar="DIR",
        help="folder for the log and reports; default: work_dirs/<name of the checkpoint>")
    parser.add_argument(
        "--out", metavar="DIR", help="folder for the reports and the predicted trainIds")
    parser.add_argument(
        "--show-dir", metavar="DIR",
        help="folder for pictures of image, truth and prediction side by side")
    parser.add_argument(
        "--submission", choices=["acdc", "cityscapes"],
        help="predict this server's test images instead; write and check the zip to submit")
    parser.add_argument(
        "--calibrate", action="store_true",
        help="fit the confidence to held-out source images, the config's calibration_dataloader, "
             "and store it in the checkpoint; see docs/confidence.md")
    parser.add_argument(
        "--force", action="store_true", help="replace the results of another test, or the zip")
    parser.add_argument(
        "--cfg-options", nargs="+", default=[], metavar="KEY=VALUE",
        help="override config values, e.g. test_dataloader.num_workers=8")
    parser.add_argument(
        "--launcher", choices=["none", "pytorch", "slurm", "mpi"], default="none",
        help="how processes are started; tools/dist_test.sh sets pytorch")
    parser.add_argument("--local_rank", "--local-rank", type=int, default=0, help=argparse.SUPPRESS)
    return parser


def main(args: argparse.Namespace) -> int:
    """Test the checkpoint; print the mIoUs and the report paths."""
    from rein.cli import is_main_process

    if args.submission and (len(args.protocols) > 1 or args.show_dir):
        raise UserError("--submission allows at most one --protocol, and no --show-dir.")
    unused = [f"--{name.replace('_', '-')}" for name in (
        "submission", "tta", "int8", "raw_weights", "work_dir", "out", "show_dir", "force")
        if args.calibrate and getattr(args, name)]
    unused += ["--protocol"] if args.calibrate and args.protocols else []
    if unused:
        raise UserError(f"--calibrate does not take {', '.join(unused)}.")
    from rein.engine.configs.reading import read_config

    os.environ.setdefault("LOCAL_RANK", str(args.local_rank))
    cfg = read_config(args.config, args.cfg_options, args.data)
    # after reading the config: these imports take seconds
    from rein.engine.testing.evaluate import evaluate_checkpoint
    from rein.engine.testing.options import EvaluationOptions

    options = EvaluationOptions(
        **{field.name: getattr(args, field.name) for field in fields(EvaluationOptions)})
    if args.calibrate:
        return calibrate(cfg, args.checkpoint, options)
    if args.submission:
        return submit_predictions(cfg, args.checkpoint, args.submission, options)
    tested = evaluate_checkpoint(cfg, args.checkpoint, options)
    for one in tested if is_main_process() else ():
        print(describe(one))
    failed = [image for one in tested for image in one.failed]
    if failed:
        number = f"{len(failed)} images" if len(failed) > 1 else "1 image"
        print(f"error: {number} could not be read; the first: {failed[0].error}", file=sys.stderr)
    return 3 if failed else 0


def describe(tested) -> str:
    """Describe a test in one line: its mIoUs and the report written."""
    means = ", ".join(f"{k} {v:.2f}" for k, v in tested.metrics.items() if k.endswith("mIoU"))
    if tested.written is None:
        return f"{means}; no report"
    if not tested.metrics:
        return f"predictions written to {tested.written}"
    return f"{means}; results written to {tested.written} and beside it"


def calibrate(cfg, checkpoint: str, options) -> int:
    """Calibrate a checkpoint; print the calibration error before and after."""
    from rein.engine.testing.calibrate import calibrate_checkpoint, calibration_text

    print(calibration_text(calibrate_checkpoint(cfg, checkpoint, options)))
    return 0


def submit_predictions(cfg, checkpoint: str, server: str, options) -> int:
    """Predict a server's test images; print whether the server would accept the zip."""
    from rein.engine.testing.submission import make_predictions
    from rein.evaluation.submission import submission_text

    submitted = make_predictions(cfg, checkpoint, server, options)
    if submitted is None:  # only the main process reports
        return 0
    print(submission_text(submitted.path, server, submitted.problems))
    return 1 if submitted.problems else 0


if __name__ == "__main__":
    run_command(build_parser(), main)
