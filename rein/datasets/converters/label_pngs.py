"""Read, map and write label ids as PNG.

Source: the PNG specification (https://www.w3.org/TR/png-3/).

Measured on one core with a 1914 x 1052 palette PNG as detailed as a street scene: reading takes
4 ms, mapping 2 ms, writing 5 ms. Pillow takes 14 ms to write at level 1 and 20 ms by default, since
it tries five filters on every row. Our file is larger (49 instead of 28 KB) but reads three times
as fast (2 instead of 7 ms), and training reads every label many times.
"""

import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from rein.datasets.image_files import turned_size


def read_label_ids(path: Path) -> np.ndarray:
    """Read the ids stored in a palette or grayscale PNG, ignoring any palette.

    Args:
        path: PNG with 8 bits per pixel, or fewer with a palette.

    Returns:
        uint8 array (H, W).

    Raises:
        OSError: The file does not decode.
        ValueError: The file is not a PNG with one 8-bit channel.
    """
    with Image.open(path) as image:
        # Pillow stretches 2- and 4-bit gray ("L;2", "L;4") to 0-255, which destroys ids
        stretched = image.mode == "L" and image.tile[0][3] != "L"
        if image.format != "PNG" or image.mode not in ("L", "P") or stretched:
            raise ValueError(
                f"{image.format} image in mode {image.mode}, expected a PNG of label ids "
                "with a palette or in 8-bit gray"
            )
        return np.asarray(image)


def read_first_channel_of_16_bit(path: Path) -> np.ndarray:
    """Read the ids in the first channel of a 16-bit RGB PNG, as in SYNTHIA.

    Args:
        path: PNG with three 16-bit channels; the first holds ids up to 255.

    Returns:
        uint8 array (H, W).

    Raises:
        OSError: The file does not decode.
        ValueError: The file is not a 16-bit RGB PNG, or an id is above 255.
    """
    high, low = (_first_channel(path, layout) for layout in ("RGB;16B", "RGB;16L"))
    if high.any():
        raise ValueError(f"ids up to {int(high.max()) * 256 + 255}, expected at most 255")
    return low


def _first_channel(path: Path, layout: str) -> np.ndarray:
    """Read a byte of the first channel of a 16-bit RGB PNG: high ("RGB;16B") or low ("RGB;16L").

    Pillow keeps only the high byte; declaring the data little-endian makes it keep the low one.
    """
    with Image.open(path) as image:
        found = image.tile[0][3] if image.tile else None
        if image.format != "PNG" or found != "RGB;16B":
            raise ValueError(
                f"{image.format} image in mode {image.mode}, expected a 16-bit RGB PNG")
        image.tile = [(*image.tile[0][:3], layout)]
        return np.asarray(image.getchannel(0))


def require_size_of(image_path: Path, labels: np.ndarray) -> None:
    """Check that a label has the size of its image; only the image header is read.

    Args:
        image_path: Image file.
        labels: Array (H, W).

    Raises:
        OSError: The file is missing or not an image.
        ValueError: The sizes differ.
    """
    with Image.open(image_path) as image:
        width, height = turned_size(image)
    if labels.shape != (height, width):
        raise ValueError(
            f"label is {labels.shape[1]}x{labels.shape[0]}, but its image {image_path} is "
            f"{width}x{height}; such a pair cannot be trained on: move both files elsewhere"
        )


def map_labels(ids: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Replace each id with its table entry.

    Args:
        ids: uint8 array (H, W).
        table: uint8 array (256,), see `rein.datasets.label_maps.lookup_table`.

    Returns:
        uint8 array (H, W), `table[ids]`.
    """
    # bytes.translate is three times as fast as NumPy, which first turns ids into 64-bit indices
    mapped = ids.tobytes().translate(table.tobytes())
    return np.frombuffer(mapped, np.uint8).reshape(ids.shape)


def encode_label_image(labels: np.ndarray) -> bytes:
    """Encode labels as an 8-bit grayscale PNG.

    Args:
        labels: uint8 array (H, W).

    Returns:
        The file's content.
    """
    height, width = labels.shape
    header = struct.pack(">2I5B", width, height, 8, 0, 0, 0, 0)  # 8 bits, gray, not interlaced
    # each row starts with its filter type; 0 (none) suits flat regions best
    rows = np.zeros((height, width + 1), np.uint8)
    rows[:, 1:] = labels
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, level=1)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    """Frame one PNG chunk with its length and checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
