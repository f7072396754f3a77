"""Compare test runs: side by side, mean and deviation over seeds, significance.

    python tools/compare.py work_dirs/baseline/full work_dirs/seed1/full work_dirs/seed2/full

A RUN is a folder with results of tools/test.py, or one whose direct subfolders are. Runs of one
config that were tested the same way are grouped as its seeds. The first RUN's group is the
baseline; the others are compared with it by a paired bootstrap over the images they share and,
with several seeds, by Welch's t-test over these. Prints Markdown; --latex writes a table for a
paper, too.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # works without installation

from rein.cli import command_parser, input_path, run_command  # noqa: E402
from rein.errors import UserError  # noqa: E402


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = command_parser(__doc__)
    parser.add_argument(
        "runs", nargs="+", type=input_path, metavar="RUN", help="folder with results.json")
    parser.add_argument("--out", type=Path, metavar="FILE", help="also write the Markdown to FILE")
    parser.add_argument(
        "--latex", type=Path, metavar="FILE",
        help="also write a LaTeX table of methods by domains to FILE")
    parser.add_argument(
        "--draws", type=int, default=10_000, help="bootstrap samples; default: %(default)s")
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of the bootstrap; default: %(default)s")
    return parser


def main(args: argparse.Namespace) -> None:
    """Compare the runs, then print and write the result."""
    if args.draws < 1:
        raise UserError("--draws must be at least 1.")
    if args.seed < 0:
        raise UserError("--seed must be at least 0.")
    from rein.evaluation.comparison_report import compare
    from rein.evaluation.latex import latex_table

    for path in filter(None, (args.out, args.latex)):
        if path.exists():
            raise UserError(f"{path}: already exists. Remove it or choose another name.")
    text = compare(args.runs, args.draws, args.seed)
    print(text)
    if args.out:
        _write(args.out, text)
        print(f"comparison of {len(args.runs)} runs written to {args.out}")
    if args.latex:
        _write(args.latex, latex_table(args.runs, args.draws, args.seed))
        print(f"LaTeX table of {len(args.runs)} runs written to {args.latex}")


def _write(path: Path, text: str) -> None:
    from rein.atomic_files import naming_failures, write_atomically

    with naming_failures(path, "Choose another name, or make room."):
        write_atomically(path, text)


if __name__ == "__main__":
    run_command(build_parser(), main)
