"""Train a model from a config.

    python tools/train.py configs/dinov2/rein_dinov2_mask2former_512x512_bs1x4.py
    python tools/train.py rein_dinov2_mask2former_512x512_bs1x4 --data /datasets
"""

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # works without installation

from rein.cli import add_data, command_parser, run_command  # noqa: E402


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = command_parser(__doc__)
    parser.add_argument("config", help="config file, or the name of one in configs/")
    add_data(parser)
    parser.add_argument(
        "--work-dir", metavar="DIR",
        help="folder for logs and checkpoints; default: work_dirs/<name of the config>")
    parser.add_argument(
        "--resume", nargs="?", const="auto", metavar="CHECKPOINT",
        help="continue a run from CHECKPOINT, or from the latest checkpoint in the work dir")
    parser.add_argument(
        "--force", action="store_true",
        help="delete the checkpoints of an earlier run in the work dir and train anew")
    parser.add_argument(
        "--allow-other-backbone", action="store_true",
        help="resume with a frozen backbone other than the one the checkpoint was trained with")
    parser.add_argument("--amp", action="store_true", help="train in float16 (needs a GPU)")
    parser.add_argument(
        "--cfg-options", nargs="+", default=[], metavar="KEY=VALUE",
        help="override config values, e.g. train_dataloader.batch_size=2")
    parser.add_argument(
        "--launcher", choices=["none", "pytorch", "slurm", "mpi"], default="none",
        help="how processes are started; tools/dist_train.sh sets pytorch")
    parser.add_argument("--local_rank", "--local-rank", type=int, default=0, help=argparse.SUPPRESS)
    return parser


def main(args: argparse.Namespace) -> None:
    """Train the model and print the path of the last checkpoint."""
    from rein.cli import is_main_process
    from rein.engine.configs.reading import load_config

    os.environ.setdefault("LOCAL_RANK", str(args.local_rank))
    cfg = load_config(args.config, args.cfg_options, args.data)
    from rein.engine.training.run import train  # after reading the config: it takes seconds

    checkpoint = train(
        cfg, name=Path(cfg.filename).stem, work_dir=args.work_dir, resume=args.resume,
        amp=args.amp, launcher=args.launcher, allow_other_backbone=args.allow_other_backbone,
        force=args.force)
    if is_main_process():
        print(f"trained weights: {checkpoint}")


if __name__ == "__main__":
    run_command(build_parser(), main)
