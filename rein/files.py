"""Files that are either whole or not there: writing them so, and telling those cut short."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PNG_END = b"IEND\xaeB`\x82"  # the last chunk's kind and checksum


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


def is_cut_short(path: str | Path) -> bool:
    """Tell whether a PNG or JPEG lacks its end, where decoders fill in grey without a word.

    What follows the end mark, as some cameras append it, does not matter.
    """
    path = Path(path)
    if not path.is_file():
        return False
    with path.open("rb") as file:
        start, size = file.read(4), path.stat().st_size
        if start == b"\x89PNG":
            file.seek(max(0, size - 1024))
            return PNG_END not in file.read()
        if start.startswith(b"\xff\xd8"):
            file.seek(size // 2)  # a thumbnail's end comes early
            return b"\xff\xd9" not in file.read()
    return False
