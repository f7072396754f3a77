"""Images, videos and examples for the page, within its limits."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from PIL import Image

from rein.datasets.dataset_configs import leaf_datasets
from rein.datasets.domains import domain_of_root, domain_title
from rein.datasets.image_files import is_cut_short
from rein.engine.predicting.sources import IMAGE_SUFFIXES, kind_of
from rein.errors import UserError
from rein.images import read_image
from rein.paths import find_path

MAX_SIDE = 4096  # pixels
MAX_MEGABYTES = 64
MAX_SECONDS = 10
FRAME_RATE = 5  # frames per second of a video that are predicted
LIMITS = (f"Images up to {MAX_SIDE} pixels a side. Of videos, the first {MAX_SECONDS} seconds at "
          f"{FRAME_RATE} frames a second. Files up to {MAX_MEGABYTES} MB.")

_EXAMPLES_EACH = 2
_MAX_VIDEO_SIDE = 1280  # pixels; larger frames are scaled down


class Example(NamedTuple):
    """An image to try."""

    path: Path
    domain: str


def is_video(path: str | Path) -> bool:
    """Tell whether a file's name is that of a video."""
    return kind_of(Path(path)) == "video"


def read_picture(path: str | Path) -> np.ndarray:
    """Read an image within the limits.

    Returns:
        RGB uint8 (H, W, 3), rotated according to its EXIF data.

    Raises:
        UserError: The file is not a whole image, or too large; it is named without its folder.
    """
    path = Path(path)
    unreadable = UserError(f"{path.name}: the file does not decode. It may be truncated or not an "
                           "image: choose another one.")
    try:
        with Image.open(path) as header:  # the size, before decoding
            width, height = header.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise unreadable from None
    if max(width, height) > MAX_SIDE:
        raise UserError(f"{path.name}: {width} x {height} pixels; this page takes at most "
                        f"{MAX_SIDE} a side. Scale it down, or use `rein predict`.")
    if is_cut_short(path):
        raise unreadable
    try:
        return read_image(path)
    except UserError:
        raise unreadable from None


class Film(NamedTuple):
    """Frames of a video.

    Attributes:
        frames: Iterator of RGB uint8 (H, W, 3), `FRAME_RATE` a second or fewer.
        count: Number of frames.
        rate: Frames per second.
    """

    frames: Iterator[np.ndarray]
    count: int
    rate: float


def open_film(path: str | Path) -> Film:
    """Open the beginning of a video.

    Raises:
        UserError: The file does not decode.
    """
    path = Path(path)
    capture = cv2.VideoCapture(str(path))
    rate = capture.get(cv2.CAP_PROP_FPS) or 25.0
    total = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    if not capture.isOpened() or not capture.grab():
        capture.release()
        raise UserError(f"{path.name}: the video does not decode. Convert it to MP4 (H.264).")
    step = max(round(rate / FRAME_RATE), 1)
    available = total if total > 0 else round(MAX_SECONDS * rate)  # some containers do not tell
    count = math.ceil(min(available, MAX_SECONDS * rate) / step)
    return Film(_frames(capture, step, count), count, rate / step)


def _frames(capture: cv2.VideoCapture, step: int, count: int) -> Iterator[np.ndarray]:
    """Yield every `step`-th frame; the first one is grabbed already."""
    try:
        for _ in range(count):
            decoded, frame = capture.retrieve()
            if not decoded:
                return
            yield _fitting(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
            if not all(capture.grab() for _ in range(step)):
                return
    finally:
        capture.release()


def _fitting(frame: np.ndarray) -> np.ndarray:
    """Scale a frame down to the limit, to even sides, which codecs need."""
    height, width = frame.shape[:2]
    scale = min(_MAX_VIDEO_SIDE / max(height, width), 1.0)
    size = tuple(max(round(side * scale) // 2 * 2, 2) for side in (width, height))
    return frame if size == (width, height) else cv2.resize(
        frame, size, interpolation=cv2.INTER_AREA)


# ---------------------------------------------------------------------------------------- examples
def examples_in(folder: str | Path) -> list[Example]:
    """List images of a folder, and of its subfolders by name of the domain.

    Raises:
        UserError: The folder is missing or has no image.
    """
    root = Path(find_path(folder))
    if not root.is_dir():
        raise UserError(f"{folder}: no such folder. Name a folder of images with --examples.")
    found = []
    for part in (root, *sorted(path for path in root.iterdir() if path.is_dir())):
        images = sorted(path for path in (part.iterdir() if part is root else part.rglob("*"))
                        if path.suffix.lower() in IMAGE_SUFFIXES)
        found += [Example(path, domain_title(part.name)) for path in images[:12]]
    if not found:
        raise UserError(f"{folder}: has no image ({', '.join(sorted(IMAGE_SUFFIXES))}).")
    return found


def examples_of(cfg: Mapping[str, Any]) -> list[Example]:
    """Choose images of each test domain of a config whose data exists here; may be empty."""
    found = []
    dataset = (cfg.get("test_dataloader") or {}).get("dataset")
    for leaf in leaf_datasets(dataset) if dataset else ():
        root = find_path(leaf.get("data_root") or ".")
        folder = Path(root, (leaf.get("data_prefix") or {}).get("img_path", ""))
        if not leaf.get("data_root") or not folder.is_dir():
            continue
        suffix = leaf.get("img_suffix", ".jpg")
        images = sorted(path for path in folder.rglob("*") if path.name.endswith(suffix))
        domain = leaf.get("domain") or domain_of_root(root)
        chosen = images[::max(math.ceil(len(images) / _EXAMPLES_EACH), 1)]
        found += [Example(path, domain_title(domain)) for path in chosen]
    return found
