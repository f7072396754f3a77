"""Parse and run commands; a user's mistake becomes one line on stderr and an exit code."""

import argparse
import contextlib
import json
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rein.errors import UserError
from rein.tool_names import as_commands

if TYPE_CHECKING:  # keeps --help fast
    from rein.datasets.converters.jobs import Report

_ERROR_FILE = "TORCHELASTIC_ERROR_FILE"  # set by torchrun for each process


def command_parser(doc: str) -> argparse.ArgumentParser:
    """Return a parser whose help shows a command's docstring verbatim."""
    return argparse.ArgumentParser(
        description=as_typed(doc), formatter_class=argparse.RawDescriptionHelpFormatter)


def converter_parser(doc: str) -> argparse.ArgumentParser:
    """Return a `command_parser` with the options of every converter: --workers, --overwrite."""
    parser = command_parser(doc)
    add_workers(parser)
    parser.add_argument(
        "--overwrite", action="store_true",
        help="also convert finished files; by default only files that are missing, damaged or "
             "older than their source are converted")
    return parser


def add_data(parser: argparse.ArgumentParser) -> None:
    """Add the option --data of commands that read a config."""
    parser.add_argument(
        "--data", metavar="ROOT",
        help="folder with gta, cityscapes, ... in place of the config's `data`")


def add_workers(parser: argparse.ArgumentParser) -> None:
    """Add the option --workers."""
    parser.add_argument(
        "--workers", type=int, metavar="N", help="processes; default: one per core")


def as_typed(text: str) -> str:
    """Return a text whose commands are those that the user types: the tools', or `rein NAME`."""
    return as_commands(text) if sys.argv[0].startswith("rein ") else text


def input_path(text: str) -> Path:
    """Return an argument as a path: in the working directory, else in the repository."""
    from rein.paths import find_path

    return Path(find_path(text))


def run_converter(
    parser: argparse.ArgumentParser,
    convert: Callable[[argparse.Namespace], tuple["Report", str]],
) -> None:
    """Run a converter command: parse, convert, print the summary, exit.

    Args:
        parser: Built by `converter_parser`.
        convert: The conversion; returns its report and the path or pattern of the written files.
    """
    def main(args: argparse.Namespace) -> int:
        from rein.datasets.converters.jobs import summarize

        return summarize(*convert(args))

    run_command(parser, main)


def run_command(
    parser: argparse.ArgumentParser, main: Callable[[argparse.Namespace], int | None],
) -> None:
    """Parse the command line and run `main` on the result; errors as in `run_cli`."""
    run_cli(lambda: main(parser.parse_args()))


def run_cli(main: Callable[[], int | None]) -> None:
    """Run a command; a `UserError` becomes one line on stderr and exit code 1.

    So does an error of the file system that names its file. With REIN_TRACEBACK set in the
    environment, the traceback is printed as well. If nobody reads the output any more, as after
    `| head`, the command ends silently.

    Args:
        main: The command; returns its exit code, or None for 0.
    """
    try:
        try:
            code = main() or 0
        finally:
            sys.stdout.flush()  # a closed pipe is noticed here, not while Python ends
    except Exception as error:
        if isinstance(error, BrokenPipeError) and _discard_unread():
            sys.exit(141)  # as a process that SIGPIPE ended
        if not _is_reported(error) and _ERROR_FILE not in os.environ:
            raise
        if os.environ.get("REIN_TRACEBACK"):
            traceback.print_exc()
        _report(error)
        code = 1
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        code = 130
    sys.exit(code)


@contextlib.contextmanager
def termination_as_interrupt() -> Iterator[None]:
    """Also clean up when the process is told to end, as by `kill`."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _discard_unread() -> bool:
    """Redirect outputs that nobody reads to the null device; tell whether there is one.

    Else Python would report them at its end (https://docs.python.org/3/library/signal.html,
    note on SIGPIPE). A broken pipe may also be one between processes, which is an error.
    """
    closed = False
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # a stream without a file
            poll = select.poll()
            poll.register(stream.fileno(), 0)  # reports errors alone
            if any(event & select.POLLERR for _, event in poll.poll(0)):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
                closed = True
    return closed


def is_main_process() -> bool:
    """Tell whether this process speaks for a run: the first of several, or the only one."""
    return int(os.environ.get("RANK", 0)) == 0


def _is_reported(error: Exception) -> bool:
    """Tell whether an error is a user's: its message suffices, without a traceback."""
    if isinstance(error, OSError):
        return bool(error.filename and error.strerror)
    return isinstance(error, UserError)


def _report(error: Exception) -> None:
    """Print a user's error; a process under torchrun leaves any error to its launcher.

    The processes fail one after another, since their connection breaks:
    `rein.engine.training.launching` prints the first error alone. torchrun defines the file's
    content except for `at`.
    """
    sys.last_value = error  # as for an uncaught error; see `rein.engine.training.runner`
    if _ERROR_FILE not in os.environ:
        print(f"error: {_message(error)}", file=sys.stderr)
        return
    text = stack = _message(error)
    if not _is_reported(error):
        text, stack = f"{type(error).__name__}: {error}", traceback.format_exc()
    now = time.time()
    details = dict(py_callstack=stack, timestamp=str(int(now)), at=now)
    with open(os.environ[_ERROR_FILE], "w") as file:
        json.dump(dict(message=dict(message=text, extraInfo=details)), file)


def _message(error: Exception) -> str:
    """Return the line to print for a user's error."""
    if not isinstance(error, OSError):
        return as_typed(str(error))
    path = error.filename2 or error.filename  # the target of a rename
    return f"{os.fsdecode(path)}: {error.strerror}. Choose another path, or make it accessible."
