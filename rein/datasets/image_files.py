"""Image files: lists of them, and a check for truncated ones, which decoders fill with grey."""

from pathlib import Path

LISTS = Path(__file__).parent / "lists"
"""Folder of the lists of images that come with Rein."""

PNG_END = b"IEND\xaeB`\x82"  # the last chunk's kind and checksum


def list_file(root: str | Path, name: str) -> Path:
    """Find a list of images in a data root, else among those that come with Rein.

    Returns:
        ROOT/NAME if it exists or neither does.
    """
    path, own = Path(root, name), LISTS / name
    return own if not path.exists() and own.is_file() else path


def is_cut_short(path: str | Path) -> bool:
    """Tell whether a PNG or JPEG lacks its end, which decoders silently fill with grey.

    Bytes after the end mark, as some cameras append, are allowed.
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
