"""The main job on the toy street world, with the same commands as on the real data.

    python tools/quickstart.py

Makes raw data sets, converts them and the toy weights, trains Rein on toy GTA, merges, and tests on
toy Cityscapes, BDD100K, Mapillary and ACDC night. Takes some minutes on two CPU cores.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # works without installation

from rein.cli import command_parser, run_command  # noqa: E402


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = command_parser(__doc__)
    parser.add_argument(
        "--data", default="data/toy", metavar="DIR", help="the toy world; default: %(default)s")
    parser.add_argument(
        "--work-dir", default="work_dirs/quickstart", metavar="DIR",
        help="everything else; default: %(default)s")
    parser.add_argument(
        "--streets", nargs="*", default=[], metavar="ARGUMENT",
        help="arguments of tools/make_toy_streets.py without their dashes, e.g. gta=40")
    parser.add_argument("--iters", type=int, help="training iterations; default: the config's")
    return parser


def main(args: argparse.Namespace) -> None:
    """Run all steps."""
    from toy.quickstart import run_quickstart

    run_quickstart(args.data, args.work_dir, args.streets, args.iters)


if __name__ == "__main__":
    run_command(build_parser(), main)
