"""Image files: telling those cut short, which decoders fill with grey without a word."""

from pathlib import Path

PNG_END = b"IEND\xaeB`\x82"  # the last chunk's kind and checksum


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
