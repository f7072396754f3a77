"""Decode a config's training images and labels once, and cache their pixels.

    python tools/cache_dataset.py configs/dinov2/rein_dinov2_mask2former_512x512_bs1x4.py data/cache
    export REIN_DATA_CACHE=data/cache       # training now reads from the cache

Training then loads the same pixels several times as fast. Pixels are stored uncompressed, 8 MB for
a GTA frame and its label; keep the cache on a fast local disk. Run an interrupted command again to
continue. If a source file changes, training decodes it from the source until the next run.
"""

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # works without installation

from rein.cli import add_data, add_workers, command_parser, run_command  # noqa: E402


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = command_parser(__doc__)
    parser.add_argument("config", help="config whose training data to cache")
    parser.add_argument("cache", type=Path, help="cache folder to write to")
    add_data(parser)
    add_workers(parser)
    return parser


def main(args: argparse.Namespace) -> int:
    """Cache the files and print a summary."""
    from mmengine.registry import init_default_scope

    from rein.datasets.building import build_dataset, files_of
    from rein.datasets.cache import CACHE_VARIABLE, cache_files
    from rein.engine.configs.reading import load_config
    from rein.errors import UserError
    from rein.paths import resolve_paths

    os.environ.pop(CACHE_VARIABLE, None)  # may point to this folder before it exists
    cfg = resolve_paths(load_config(args.config, data=args.data))
    if "train_dataloader" not in cfg:
        raise UserError(f"{args.config}: no train_dataloader, so there is nothing to cache. Give "
                        "a training config.")
    init_default_scope(cfg.get("default_scope", "mmseg"))
    files = files_of(build_dataset(cfg.train_dataloader.dataset))
    report = cache_files(files, args.cache, workers=args.workers)
    for source, reason in report.failed:
        print(f"failed: {source}: {reason}", file=sys.stderr)
    print(
        f"{report.written} written, {report.kept} kept, {len(report.failed)} failed in "
        f"{args.cache}; to use the cache, set {CACHE_VARIABLE}={args.cache.resolve()}")
    return 1 if report.failed else 0


if __name__ == "__main__":
    run_command(build_parser(), main)
