"""Parsing and running commands: mistakes become one line on stderr and an exit code."""

import argparse
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from rein.errors import UserError

if TYPE_CHECKING:  # --help loads nothing else
    from rein.datasets.converters.jobs import Report


def command_parser(doc: str) -> argparse.ArgumentParser:
    """Return a parser whose help is a command's docstring as it is written."""
    return argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)


def converter_parser(doc: str) -> argparse.ArgumentParser:
    """Return a `command_parser` with the options of all converters: --workers, --overwrite."""
    parser = command_parser(doc)
    add_workers(parser)
    parser.add_argument(
        "--overwrite", action="store_true",
        help="convert finished files again; by default only missing and damaged ones, and those "
             "older than their source")
    return parser


def add_workers(parser: argparse.ArgumentParser) -> None:
    """Add --workers."""
    parser.add_argument(
        "--workers", type=int, metavar="N", help="processes; default: one per core")


def run_converter(
    parser: argparse.ArgumentParser,
    convert: Callable[[argparse.Namespace], tuple["Report", str]],
) -> None:
    """Run a converter's command: parse, convert, print the summary, exit.

    Args:
        parser: Made by `converter_parser`.
        convert: Converts; returns the report, and the written files as a path or pattern.
    """
    def main(args: argparse.Namespace) -> int:
        from rein.datasets.converters.jobs import summarize

        return summarize(*convert(args))

    run_command(parser, main)


def run_command(
    parser: argparse.ArgumentParser, main: Callable[[argparse.Namespace], int | None],
) -> None:
    """Parse the command line and run `main` on it as `run_cli` does."""
    args = parser.parse_args()
    run_cli(lambda: main(args))


def run_cli(main: Callable[[], int | None]) -> None:
    """Run a command; a `UserError` becomes one line on stderr and exit code 1.

    Args:
        main: The command; returns its exit code, None meaning 0.
    """
    try:
        code = main() or 0
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        code = 1
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        code = 130
    sys.exit(code)
