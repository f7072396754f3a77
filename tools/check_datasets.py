"""Check the datasets below a folder: what is missing, unpaired, broken or not converted yet.

    python tools/check_datasets.py                  # data/
    python tools/check_datasets.py data --fast      # opens 20 pairs of each split instead of all

Prints one table and then each problem with what to do. The exit code is 1 if something is wrong;
datasets and splits that are not there are not wrong.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # works without installation


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "root", nargs="?", default="data",
        help="folder with gta, cityscapes, ...; default: %(default)s")
    parser.add_argument("--fast", action="store_true", help="open 20 pairs of each split")
    parser.add_argument(
        "--any-count", action="store_true",
        help="do not compare the numbers of images with the published ones")
    parser.add_argument(
        "--workers", type=int, metavar="N", help="processes; default: one per core")
    return parser.parse_args()


def main(args: argparse.Namespace) -> int:
    """Check, and print the table."""
    from rein.datasets.check import check_datasets, text_table
    from rein.engine.paths import find_path

    root = Path(find_path(args.root))
    reports = check_datasets(
        root, fast=args.fast, any_count=args.any_count, workers=args.workers)
    print(text_table(reports))
    wrong = sum(len(report.problems) for report in reports)
    datasets = len({report.part.dataset for report in reports})
    print(f"{datasets} datasets in {root}: {wrong} problems")
    return 1 if wrong else 0


if __name__ == "__main__":
    arguments = parse_args()
    from rein.cli import run_cli

    run_cli(lambda: main(arguments))
