"""Writing files so that they are either whole or absent."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a file beside `path` to write to, which takes its place if nothing is raised.

    Args:
        path: The target; its folder is made where missing.

    Yields:
        An empty file; whatever happens, it is not there afterwards.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # the process id keeps two runs at once from writing into the same file
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.touch()  # what keeps the folder from taking a file is an OSError here
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write a file, and its folder, so that it is either whole or not there; text as UTF-8."""
    with replacing(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
