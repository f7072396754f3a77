"""Test a checkpoint on the target domains of a config.

    python tools/test.py CONFIG CHECKPOINT
    python tools/test.py CONFIG CHECKPOINT --protocol rein full
    python tools/test.py CONFIG CHECKPOINT --submission acdc
    python tools/test.py checkpoints/dinov2_segmentor.pth checkpoints/dinov2_segmentor.pth

In the last form the config is the one that the merged checkpoint carries, read as data.

Leaves results.html, .md, .json and .npz in the work dir, or below it in a folder named after
--protocol, --mode, --tta and --int8 where these are given. Exit code: 3 if an image could not be
read; it is named, and the others count; 1 if something else is wrong.
"""

import argparse
import os
import sys
from dataclasses import fields
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # works without installation


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", help="config file, or a checkpoint that carries its config")
    parser.add_argument("checkpoint", help="merged segmentor, or adapter and head from training")
    parser.add_argument(
        "--backbone", metavar="PATH",
        help="pretrained weights, converted or as downloaded, for a checkpoint of adapter and "
             "head; default: the file the config names")
    parser.add_argument(
        "--allow-other-backbone", action="store_true",
        help="use another frozen backbone than the checkpoint was trained with")
    parser.add_argument(
        "--protocol", nargs="+", default=[], metavar="NAME", dest="protocols",
        help="rein (as the paper: Cityscapes and Mapillary at half size), full (at full size), or "
             "both; default: what the config says")
    parser.add_argument(
        "--mode", choices=["slide", "whole"],
        help="go over an image in crops or at once; default: what the config says")
    parser.add_argument("--tta", action="store_true", help="average over scales and flips")
    parser.add_argument(
        "--int8", action="store_true",
        help="let the frozen backbone compute in int8, on a CPU: faster, and nearly the same")
    parser.add_argument(
        "--work-dir", metavar="DIR",
        help="where log and reports go; default: work_dirs/ and the checkpoint's name")
    parser.add_argument(
        "--out", metavar="DIR", help="write the reports here, and the predicted trainIds")
    parser.add_argument(
        "--show-dir", metavar="DIR", help="write image, truth and prediction side by side")
    parser.add_argument(
        "--submission", choices=["acdc", "cityscapes"],
        help="predict this server's test images instead, and write and check the zip to submit")
    parser.add_argument(
        "--force", action="store_true", help="replace results of another test, or the zip")
    parser.add_argument(
        "--cfg-options", nargs="+", default=[], metavar="KEY=VALUE",
        help="override config values, e.g. test_dataloader.num_workers=8")
    parser.add_argument(
        "--launcher", choices=["none", "pytorch", "slurm", "mpi"], default="none",
        help="how processes are started")
    parser.add_argument("--local_rank", "--local-rank", type=int, default=0, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.submission and (len(args.protocols) > 1 or args.show_dir):
        parser.error("--submission goes with one --protocol at most and without --show-dir")
    return args


def main(args: argparse.Namespace) -> int:
    """Test, and print the means and where the reports are."""
    from rein.engine.config import read_config

    os.environ.setdefault("LOCAL_RANK", str(args.local_rank))
    cfg = read_config(args.config, args.cfg_options)
    # after reading the config: these imports take seconds
    from rein.engine.testing.evaluate import evaluate_checkpoint
    from rein.engine.testing.options import EvaluationOptions

    options = EvaluationOptions(
        **{field.name: getattr(args, field.name) for field in fields(EvaluationOptions)})
    if args.submission:
        return submit_predictions(cfg, args.checkpoint, args.submission, options)
    tested = evaluate_checkpoint(cfg, args.checkpoint, options)
    for metrics, folder, _ in tested:
        means = ", ".join(f"{k} {v:.2f}" for k, v in metrics.items() if k.endswith("mIoU"))
        print(f"{means}; results in {folder / 'results.html'} and beside it")
    failed = [image for one in tested for image in one.failed]
    if failed:
        number = f"{len(failed)} images" if len(failed) > 1 else "1 image"
        print(f"error: {number} could not be read; the first: {failed[0].error}", file=sys.stderr)
    return 3 if failed else 0


def submit_predictions(cfg, checkpoint: str, server: str, options) -> int:
    """Predict a server's images, and print whether it would take the zip."""
    from rein.engine.testing.submission import make_predictions
    from rein.evaluation.submission import submission_text

    submitted = make_predictions(cfg, checkpoint, server, options)
    if submitted is None:  # the main process tells
        return 0
    print(submission_text(submitted.path, server, submitted.problems))
    return 1 if submitted.problems else 0


if __name__ == "__main__":
    arguments = parse_args()
    from rein.cli import run_cli

    run_cli(lambda: main(arguments))
