"""Lists of image files, and a check for truncated images, which decoders fill with grey."""

from pathlib import Path

LISTS = Path(__file__).parent / "lists"
"""Folder of the image lists that ship with Rein."""

PNG_END = b"IEND\xaeB`\x82"  # type and checksum of the last chunk


def list_file(root: str | Path, name: str) -> Path:
    """Find an image list in a data root, else among those that ship with Rein.

    Returns:
        ROOT/NAME if that file exists or if Rein ships no such list; else Rein's.
    """
    path, own = Path(root, name), LISTS / name
    return own if not path.exists() and own.is_file() else path


def is_cut_short(path: str | Path) -> bool:
    """Tell whether a PNG or JPEG is truncated; decoders silently fill the rest with grey.

    Bytes after the end marker are allowed, since some cameras append them.
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
            file.seek(size // 2)  # skip the end marker of an embedded thumbnail
            return b"\xff\xd9" not in file.read()
    return False
