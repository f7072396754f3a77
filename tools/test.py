"""Test a checkpoint on the target domains of a config.

    python tools/test.py CONFIG CHECKPOINT
    python tools/test.py checkpoints/dinov2_segmentor.pth checkpoints/dinov2_segmentor.pth

In the second form the config is the one that the merged checkpoint carries, read as data.
"""

import argparse
import os
import sys
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
    parser.add_argument("--work-dir", metavar="DIR", help="where the log goes")
    parser.add_argument(
        "--out", metavar="DIR", help="write results.json, results.md and the predicted trainIds")
    parser.add_argument(
        "--show-dir", metavar="DIR", help="write image, truth and prediction side by side")
    parser.add_argument("--tta", action="store_true", help="average over scales and flips")
    parser.add_argument(
        "--cfg-options", nargs="+", default=[], metavar="KEY=VALUE",
        help="override config values, e.g. test_dataloader.num_workers=8")
    parser.add_argument(
        "--launcher", choices=["none", "pytorch", "slurm", "mpi"], default="none",
        help="how processes are started")
    parser.add_argument("--local_rank", "--local-rank", type=int, default=0, help=argparse.SUPPRESS)
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    """Test, and print the means and where the files are."""
    from rein.engine.config import merge_options, parse_options
    from rein.engine.testing import read_config, test

    os.environ.setdefault("LOCAL_RANK", str(args.local_rank))
    cfg = read_config(args.config)
    merge_options(cfg, parse_options(args.cfg_options))
    metrics = test(
        cfg, args.checkpoint, backbone=args.backbone, work_dir=args.work_dir, out=args.out,
        show_dir=args.show_dir, tta=args.tta, launcher=args.launcher,
        allow_other_backbone=args.allow_other_backbone)
    means = ", ".join(f"{k} {v:.2f}" for k, v in metrics.items() if k.endswith("mIoU"))
    written = "; ".join(f"{what} in {where}" for what, where in (
        ("results and predictions", args.out), ("pictures", args.show_dir)) if where)
    print(means + (f"; {written}" if written else ""))


if __name__ == "__main__":
    arguments = parse_args()
    from rein.errors import run_cli  # after parsing: importing rein takes seconds

    run_cli(lambda: main(arguments))
