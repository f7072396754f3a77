"""Image files: lists of them, truncated ones, which decoders fill with grey, and turned ones.

Sources: the chunks of a PNG (https://www.w3.org/TR/png-3/), the markers of a JPEG (ITU-T T.81,
annex B).
"""

from pathlib import Path
from typing import BinaryIO

from PIL import Image

LISTS = Path(__file__).parent / "lists"
"""Folder of the image lists that ship with Rein."""

PNG_END = b"IEND\xaeB`\x82"  # type and checksum of the last chunk

_PNG_START = b"\x89PNG\r\n\x1a\n"
_JPEG_START, _JPEG_END = b"\xff\xd8", b"\xff\xd9"
_START_OF_SCAN = 0xDA
_ORIENTATION = 0x0112  # EXIF tag; 5 to 8: turned by a quarter


def list_file(root: str | Path, name: str) -> Path:
    """Find an image list in a data root, else among those that ship with Rein.

    Returns:
        ROOT/NAME if that file exists or if Rein ships no such list; else Rein's.
    """
    path, own = Path(root, name), LISTS / name
    return own if not path.exists() and own.is_file() else path


def turned_size(image: Image.Image) -> tuple[int, int]:
    """Return an image's (width, height) after the rotation in its EXIF data, as OpenCV loads it."""
    width, height = image.size
    return (height, width) if image.getexif().get(_ORIENTATION, 1) >= 5 else (width, height)


def is_cut_short(path: str | Path) -> bool:
    """Tell whether a PNG or JPEG is truncated; decoders silently fill the rest with grey.

    Any number of bytes after the end marker is allowed, since some cameras append a film.
    """
    path = Path(path)
    if not path.is_file():
        return False
    with path.open("rb") as file:
        start = file.read(len(_PNG_START))
        if start == _PNG_START:
            return not _has_png_end(file)
        if start.startswith(_JPEG_START):
            file.seek(len(_JPEG_START))
            return not _has_jpeg_end(file)
    return False


def _has_png_end(file: BinaryIO) -> bool:
    """Tell whether the chunks from here on lead to the last one."""
    while len(head := file.read(8)) == 8:  # length and type of a chunk
        if head[4:] == PNG_END[:4]:
            return head[4:] + file.read(4) == PNG_END
        file.seek(int.from_bytes(head[:4], "big") + 4, 1)  # data and checksum
    return False


def _has_jpeg_end(file: BinaryIO) -> bool:
    """Tell whether the first scan, which follows an embedded thumbnail if any, has an end."""
    while len(head := file.read(4)) == 4 and head[0] == 0xFF:  # marker and length of a segment
        if head[1] == 0xFF:  # fill byte
            file.seek(-3, 1)
        elif head[1] == _START_OF_SCAN:
            return _JPEG_END in file.read()
        else:
            file.seek(int.from_bytes(head[2:], "big") - 2, 1)
    return False
