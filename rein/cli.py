"""Running a command: mistakes become one line on stderr and an exit code."""

import sys
from collections.abc import Callable

from rein.errors import UserError


def run_cli(main: Callable[[], int | None]) -> None:
    """Run a command-line tool: a `UserError` becomes one line on stderr and exit code 1.

    Args:
        main: The tool; returns its exit code, None meaning 0.
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
