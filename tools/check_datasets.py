"""Check the datasets in a folder for missing, unpaired, corrupt and unconverted files.

    python tools/check_datasets.py                  # data/
    python tools/check_datasets.py data --fast      # opens 20 pairs of each split instead of all

Prints a table, then each problem with its fix. Exits with 1 if there are problems; absent datasets
and splits are not problems.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # works without installation

from rein.cli import add_workers, as_typed, command_parser, run_command  # noqa: E402


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = command_parser(__doc__)
    parser.add_argument(
        "root", nargs="?", default="data",
        help="folder with gta, cityscapes, ...; default: %(default)s")
    parser.add_argument("--data", metavar="ROOT", help="the same as ROOT, as for the other tools")
    parser.add_argument("--fast", action="store_true", help="open 20 pairs of each split")
    parser.add_argument(
        "--any-count", action="store_true",
        help="do not compare the number of images with the published number")
    add_workers(parser)
    return parser


def main(args: argparse.Namespace) -> int:
    """Check the datasets and print the table."""
    from rein.datasets.check import check_datasets, counted, text_table
    from rein.paths import find_path

    root = Path(find_path(args.data or args.root))
    reports = check_datasets(
        root, fast=args.fast, any_count=args.any_count, workers=args.workers)
    print(as_typed(text_table(reports)))
    wrong = sum(len(report.problems) for report in reports)
    datasets = len({report.dataset.name for report in reports})
    print(f"{counted(datasets, 'dataset')} in {root}: {counted(wrong, 'problem')}")
    return 1 if wrong else 0


if __name__ == "__main__":
    run_command(build_parser(), main)
