"""Decode the training images and labels of a config once, so that training need not.

    python tools/cache_dataset.py configs/dinov2/rein_dinov2_mask2former_512x512_bs1x4.py data/cache
    export REIN_DATA_CACHE=data/cache       # from now on, training reads from it

Training gets the same pixels from it, several times as fast. A cached file is as large as its
pixels, 8 MB for a GTA frame and its label; it belongs on a fast local disk. The command goes on
where it was stopped; files that change later are loaded themselves until it is run again.
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
    parser.add_argument("config", help="its train_dataloader says what is cached")
    parser.add_argument("cache", type=Path, help="folder to write to")
    parser.add_argument(
        "--workers", type=int, metavar="N", help="processes; default: one per core")
    return parser.parse_args()


def main(args: argparse.Namespace) -> int:
    """Cache, and print what was written where."""
    from mmengine.registry import init_default_scope

    from rein.datasets.cache import CACHE_VARIABLE, cache_files
    from rein.datasets.urban import build_dataset, files_of
    from rein.engine.config import load_config
    from rein.engine.paths import resolve_paths
    from rein.errors import UserError

    os.environ.pop(CACHE_VARIABLE, None)  # may name the folder that is made only now
    cfg = resolve_paths(load_config(args.config))
    if "train_dataloader" not in cfg:
        raise UserError(f"{args.config}: no train_dataloader, so nothing to cache. Name a config "
                        "that trains.")
    init_default_scope(cfg.get("default_scope", "mmseg"))
    files = files_of(build_dataset(cfg.train_dataloader.dataset))
    report = cache_files(files, args.cache, workers=args.workers)
    for source, reason in report.failed:
        print(f"failed: {source}: {reason}", file=sys.stderr)
    print(
        f"{report.written} written, {report.kept} kept, {len(report.failed)} failed in "
        f"{args.cache}; to use it, set {CACHE_VARIABLE}={args.cache.resolve()}")
    return 1 if report.failed else 0


if __name__ == "__main__":
    arguments = parse_args()
    from rein.cli import run_cli

    run_cli(lambda: main(arguments))
