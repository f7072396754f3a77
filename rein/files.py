"""Writing files so that they are either whole or not there."""

import os
from pathlib import Path


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file, and its folder, so that it is either whole or not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # the process id keeps two runs at once from writing into the same file
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
