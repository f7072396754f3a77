"""Compare tests: side by side, mean and deviation over seeds, significance.

    python tools/compare.py work_dirs/baseline/full work_dirs/seed1/full work_dirs/seed2/full

A RUN is a folder that tools/test.py left its results in, or one with such folders right below.
Runs of one config, tested the same way, are taken for its seeds. The first RUN's group is what the
others are measured against, by a paired bootstrap over the images that both have. Prints Markdown.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # works without installation


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="folder with results.json")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the Markdown here, too")
    parser.add_argument(
        "--draws", type=int, default=10_000, help="of the bootstrap; default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="of the draws; default: %(default)s")
    args = parser.parse_args()
    if args.draws < 1:
        parser.error("--draws must be at least 1")
    return args


def main(args: argparse.Namespace) -> None:
    """Compare, print and write."""
    from rein.atomic_files import write_atomically
    from rein.errors import UserError
    from rein.evaluation.comparison import compare

    if args.out and args.out.exists():
        raise UserError(f"{args.out}: exists. Remove it or give another name.")
    text = compare(args.runs, args.draws, args.seed)
    print(text)
    if args.out:
        write_atomically(args.out, text)
        print(f"comparison of {len(args.runs)} runs in {args.out}")


if __name__ == "__main__":
    arguments = parse_args()
    from rein.cli import run_cli

    run_cli(lambda: main(arguments))
