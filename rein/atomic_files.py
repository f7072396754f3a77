"""Write files atomically: each is either complete or absent."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Provide a temporary file beside `path`, and rename it to `path` if no error occurs.

    Args:
        path: The target; its folder is created if missing.

    Yields:
        An empty file; it is removed in every case.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # the process id keeps two runs at once from writing into the same file
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.touch()  # an OSError here if the folder takes no files
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write a file and its folder; the file is either complete or absent. Text is UTF-8."""
    with replacing(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
