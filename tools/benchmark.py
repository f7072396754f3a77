"""Benchmark this project against references on this machine, in paired runs.

    python tools/benchmark.py                       # all subjects
    python tools/benchmark.py metric converters     # some subjects
    python tools/benchmark.py --list

Prints a Markdown table of medians and spread; --out also writes it as JSON. Results from other
machines are in benchmarks/README.md.
"""

import argparse
import importlib
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # works without installation

from rein.cli import command_parser, run_command  # noqa: E402
from rein.errors import UserError  # noqa: E402

SUBJECTS = sorted(
    path.stem for path in (ROOT / "benchmarks").glob("*.py")
    if path.stem not in ("__init__", "paired", "stock"))


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = command_parser(__doc__)
    parser.add_argument("subjects", nargs="*", metavar="SUBJECT", help="default: all")
    parser.add_argument("--list", action="store_true", help="list the subjects and exit")
    parser.add_argument(
        "--repeats", type=int, default=5, help="pairs of runs to time; default: %(default)s")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the rows as JSON")
    return parser


def main(args: argparse.Namespace) -> None:
    """Run the subjects and print their rows."""
    unknown = sorted(set(args.subjects) - set(SUBJECTS))
    if unknown:
        raise UserError(
            f"no such subject: {', '.join(unknown)}; choose from {', '.join(SUBJECTS)}.")
    if args.repeats < 1:
        raise UserError("--repeats must be at least 1.")
    if args.out and args.out.exists():
        raise UserError(f"{args.out}: already exists. Remove it or choose another name.")
    if args.list:
        for name in SUBJECTS:
            text = (ROOT / "benchmarks" / f"{name}.py").read_text()
            print(f"{name:<12} {text.removeprefix(chr(34) * 3).splitlines()[0]}")
        return
    from benchmarks import paired

    device, rows = paired.device_name(), []
    print(device)
    for name in args.subjects or SUBJECTS:
        rows += importlib.import_module(f"benchmarks.{name}").run(args.repeats)
    print(f"\n{paired.text_table(rows)}")
    if args.out:
        from rein.atomic_files import naming_failures, write_atomically

        content = {"device": device, "rows": [row._asdict() for row in rows]}
        with naming_failures(args.out, "Choose another name, or make room."):
            write_atomically(args.out, json.dumps(content, indent=2) + "\n")
        print(f"results written to {args.out}")


if __name__ == "__main__":
    run_command(build_parser(), main)
