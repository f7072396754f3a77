"""Write files atomically: each is either complete or absent."""

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from rein.errors import UserError

CONTINUES = ("Finished files are intact: make room or name another folder, then run the command "
             "again to continue.")
"""Advice for `naming_failures` where a task writes many files and skips those that exist."""

_TEMPORARY = re.compile(r"\..+\.(\d+)\.tmp")


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Provide a temporary file beside `path`, and rename it to `path` if no error occurs.

    Args:
        path: The target; its folder is created if missing.

    Yields:
        An empty file; it is removed if an error occurs.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # the process id keeps two runs at once from writing into the same file
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.touch()  # an OSError here if the folder takes no files
        yield temporary
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):  # the first error says more
            temporary.unlink()
        raise


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write a file and its folder; the file is either complete or absent. Text is UTF-8."""
    with replacing(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


@contextlib.contextmanager
def naming_failures(path: Path, advice: str) -> Iterator[None]:
    """Turn an OSError of writing, such as a full disk, into a UserError of one line.

    Args:
        path: File or folder being written.
        advice: One sentence: what to do.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(f"{path}: cannot be written ({reason}). {advice}") from error


def remove_stale(folder: Path) -> None:
    """Remove temporary files that killed processes left in a folder."""
    for path in Path(folder).glob(".*.tmp"):
        match = _TEMPORARY.fullmatch(path.name)
        if match and not _runs(int(match[1])):
            path.unlink(missing_ok=True)


def _runs(pid: int) -> bool:
    """Tell whether another process with this id exists; signal 0 only asks."""
    if pid == os.getpid():
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # another user's
        return True
    return True
