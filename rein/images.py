"""Read images, and accept them from Python, with NumPy, OpenCV and Pillow alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageOps

from rein.engine.paths import find_path
from rein.errors import UserError

_TIFF_STARTS = b"II", b"MM"


def read_image(path: str | Path) -> np.ndarray:
    """Read an image in any format that OpenCV decodes, rotated according to its EXIF data.

    Returns:
        RGB uint8 (H, W, 3); grey images get three equal channels, transparency is dropped.

    Raises:
        UserError: The file is missing, cannot be read, does not decode or has neither 8 nor 16
            bits per channel.
    """
    found = find_path(path)
    if not Path(found).is_file():
        raise UserError(f"{path}: no such image. Check the path.")
    try:
        data = np.fromfile(found, np.uint8)
        pixels = _decode(data, cv2.IMREAD_COLOR)
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror}). Make it accessible.") from error
    if pixels is None or data[:2].tobytes() in _TIFF_STARTS:
        _check_depth(data, path)
    if pixels is None:
        raise UserError(f"{path}: the image does not decode. It may be truncated or not an image: "
                        "copy or download it again.")
    return np.ascontiguousarray(pixels[..., ::-1])


def _decode(data: np.ndarray, flags: int) -> np.ndarray | None:
    """Decode a file's bytes; None if they do not decode."""
    try:
        return cv2.imdecode(data, flags) if data.size else None
    except cv2.error:  # e.g. more pixels than OpenCV's limit
        return None


def _check_depth(data: np.ndarray, path: str | Path) -> None:
    """Raise if an image has other pixels than those of 8 or 16 bits.

    OpenCV decodes some of them to black images.
    """
    pixels = _decode(data, cv2.IMREAD_UNCHANGED)
    if pixels is not None and pixels.dtype not in (np.uint8, np.uint16):
        raise UserError(f"{path}: has {pixels.dtype} pixels; expected 8 or 16 bits per channel. "
                        "Scale its values to [0, 255] and save it as PNG.")


@contextmanager
def silent_opencv() -> Iterator[None]:
    """Silence OpenCV's log, which would break progress bars; our errors name the file.

    The log's level is the whole process's: use it in the main thread alone.
    """
    level = cv2.getLogLevel()
    cv2.setLogLevel(0)
    try:
        yield
    finally:
        cv2.setLogLevel(level)


def as_rgb(image: Any) -> np.ndarray:
    """Return an image as RGB uint8 (H, W, 3).

    Args:
        image: A file, a PIL image, an RGB array, uint8 (H, W, 3), or a torch tensor, uint8
            (3, H, W). Files and PIL images are rotated according to their EXIF data.

    Raises:
        UserError: The file is missing or does not decode, or the image has another type or shape.
    """
    if isinstance(image, str | Path):
        return read_image(image)
    if isinstance(image, Image.Image):
        if image.mode[0] in "IF":
            raise UserError(f"the PIL image has mode {image.mode!r}; expected 8 bits per channel, "
                            "such as 'RGB' or 'L'. Scale its values to [0, 255].")
        return np.array(ImageOps.exif_transpose(image).convert("RGB"))
    if hasattr(image, "detach"):  # a tensor; torch is not imported here
        array = image.detach().cpu()
        shape, kind = tuple(array.shape), str(array.dtype)
        if kind != "torch.uint8" or len(shape) != 3 or shape[0] != 3 or 0 in shape:
            raise UserError(f"the tensor has shape {shape} and type {kind}; expected RGB, uint8 "
                            "(3, H, W), values in [0, 255].")
        return array.permute(1, 2, 0).numpy()
    if not isinstance(image, np.ndarray):
        raise UserError(f"an image of type {type(image).__name__}; expected a path, a PIL image, "
                        "an RGB array (H, W, 3) or an RGB tensor (3, H, W), both uint8.")
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[-1] != 3 or not image.size:
        raise UserError(f"the image has shape {image.shape} and type {image.dtype}; expected RGB, "
                        "uint8 (H, W, 3), as returned by `read_image`.")
    return image
