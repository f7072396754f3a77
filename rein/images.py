"""Read images, and accept them from Python, with NumPy, OpenCV and Pillow alone."""

import struct
from collections.abc import Iterable, Iterator, Sized
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageOps

from rein.errors import UserError, one_line
from rein.paths import find_path
from rein.values import PATH, check_value

_TIFF_STARTS = b"II", b"MM"


def read_image(path: str | Path) -> np.ndarray:
    """Read an image in any format that OpenCV decodes, rotated according to its EXIF data.

    Returns:
        RGB uint8 (H, W, 3); grey images get three equal channels, transparency is dropped.

    Raises:
        UserError: The file is missing, cannot be read, does not decode or has neither 8 nor 16
            bits per channel.
    """
    check_value("read_image", "path", path, PATH)
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
        return _pixels(image)
    if hasattr(image, "detach"):  # a tensor; torch is not imported here
        shape, kind = tuple(image.shape), str(image.dtype)
        if kind != "torch.uint8" or len(shape) != 3 or shape[0] != 3 or 0 in shape or image.is_meta:
            raise UserError(f"the tensor has shape {shape}, type {kind} and device {image.device}; "
                            "expected RGB, uint8 (3, H, W), values in [0, 255]."
                            + _hint(shape, 0, image.is_floating_point()))
        return image.detach().cpu().permute(1, 2, 0).numpy()
    if not isinstance(image, np.ndarray):
        raise UserError(f"an image of type {type(image).__name__}; expected a path, a PIL image, "
                        "an RGB array (H, W, 3) or an RGB tensor (3, H, W), both uint8.")
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[-1] != 3 or not image.size:
        raise UserError(f"the image has shape {image.shape} and type {image.dtype}; expected RGB, "
                        "uint8 (H, W, 3), values in [0, 255], as returned by `read_image`."
                        + _hint(image.shape, -1, image.dtype.kind == "f"))
    return image


def is_several(images: Any) -> bool:
    """Tell whether an argument is several images: an iterable, or a tensor (B, 3, H, W)."""
    if hasattr(images, "detach"):
        return images.ndim == 4
    return isinstance(images, Iterable) and not isinstance(
        images, str | bytes | bytearray | Path | Image.Image | np.ndarray)


def as_rgb_images(images: Iterable[Any]) -> list[np.ndarray]:
    """Return images as `as_rgb` does, in arrays of their own; errors give the position.

    Raises:
        UserError: As from `as_rgb`.
    """
    arrays = []
    count = len(images) if isinstance(images, Sized) else None
    for index, image in enumerate(images):
        try:
            array = as_rgb(image)
            # a loop over a film may reuse its frame's memory
            is_shared = isinstance(image, np.ndarray) or hasattr(image, "detach")
            arrays.append(array.copy() if is_shared else array)
        except UserError as error:
            place = f"image {index + 1}" + (f" of {count}" if count else "")
            raise error if count == 1 else UserError(f"{place}: {error}") from None
    return arrays


def _pixels(image: Image.Image) -> np.ndarray:
    """Return a PIL image as RGB; its file is decoded only now."""
    name = getattr(image, "filename", "") or "the PIL image"
    try:
        pixels = np.array(ImageOps.exif_transpose(image).convert("RGB"))
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error) as error:
        raise UserError(f"{name}: does not decode ({one_line(error, 120)}). It may be truncated or "
                        "closed: copy, download or open it again.") from error
    if not pixels.size:
        raise UserError(f"{name}: has no pixels, its size is {image.width} x {image.height}.")
    return pixels


def _hint(shape: tuple[int, ...], axis: int, is_float: bool) -> str:
    """Say how to make an image of an array whose channels lie on an axis."""
    if is_float:
        return " Round and convert it; values in [0, 1] first times 255."
    if len(shape) == 4:
        return " Pass several images as a list."
    if len(shape) == 3 and shape[axis] == 4:
        return " Drop the alpha channel."
    return ""
