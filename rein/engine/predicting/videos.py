"""Read videos and cameras in batches of frames, and write videos frame by frame.

Source: OpenCV's videoio with its bundled FFmpeg; MPEG-4 Part 2 ("mp4v") is the codec of mp4 files
that its wheels can write. It has no sound.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from rein.engine.predicting.sources import Unreadable
from rein.errors import UserError
from rein.images import silent_opencv

os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # its messages name no file; ours do

_DEFAULT_FPS = 25.0
_CODEC = cv2.VideoWriter.fourcc(*"mp4v")

Write = Callable[[np.ndarray], None]


class Video:
    """An opened video or camera.

    Args:
        path: A file, or the number of a camera.

    Attributes:
        fps: Frames per second.
        frames: Number of frames that the file announces; None if unknown.

    Raises:
        Unreadable: It cannot be opened.
    """

    def __init__(self, path: str):
        self.path, self._is_camera = path, path.isdecimal()
        with silent_opencv():
            self._capture = cv2.VideoCapture(int(path) if self._is_camera else path)
        if not self._capture.isOpened():
            self._capture.release()
            raise Unreadable(
                f"camera {path}: cannot be opened. Check its number and your permissions."
                if self._is_camera else
                f"{path}: the video does not open. It may be truncated, or of an unknown codec.")
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.fps = fps if 0 < fps < 1000 else _DEFAULT_FPS
        self.frames = round(count) if count > 0 and not self._is_camera else None

    def __enter__(self) -> "Video":
        return self

    def __exit__(self, *error) -> None:
        self._capture.release()

    def batches(self, size: int, limit: int | None = None) -> Iterator[list[np.ndarray]]:
        """Yield lists of at most `size` frames, RGB uint8 (H, W, 3), `limit` frames in all."""
        count = 0
        while limit is None or count < limit:
            wanted = size if limit is None else min(size, limit - count)
            frames = list(self._read(wanted))
            count += len(frames)
            if frames:
                yield frames
            if len(frames) < wanted:
                return

    def _read(self, count: int) -> Iterator[np.ndarray]:
        for _ in range(count):
            is_read, frame = self._capture.read()
            if not is_read:
                return
            yield np.ascontiguousarray(frame[..., ::-1])


@contextlib.contextmanager
def writing_video(path: Path, fps: float) -> Iterator[Write]:
    """Provide a function that appends an RGB frame; the file is complete at the end, or absent.

    mp4v has even sides: the last row or column of an odd one is dropped.

    Args:
        path: A file that ends in .mp4; its folder is created if missing.
        fps: Frames per second.

    Raises:
        UserError: The file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # OpenCV chooses the format by the suffix, so this one ends in .mp4
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp.mp4")
    writer, written = None, 0

    def write(frame: np.ndarray) -> None:
        nonlocal writer, written
        height, width = (side - side % 2 for side in frame.shape[:2])
        if writer is None:
            with silent_opencv():
                writer = cv2.VideoWriter(str(temporary), _CODEC, fps, (width, height))
            if not writer.isOpened():
                raise UserError(f"{path}: cannot be written as a video of {width}x{height} pixels.")
        writer.write(np.ascontiguousarray(frame[:height, :width, ::-1]))
        written += 1

    try:
        yield write
        if writer is not None:
            writer.release()
            _check_written(temporary, path, written)
            os.replace(temporary, path)
    finally:
        if writer is not None:
            writer.release()
        temporary.unlink(missing_ok=True)


def _check_written(temporary: Path, path: Path, frames: int) -> None:
    """Raise unless a written video has all frames; OpenCV reports no full disk."""
    try:
        with Video(str(temporary)) as video:
            found = video.frames
    except Unreadable:
        found = 0
    if found != frames:
        raise UserError(f"{path}: cannot be written: {found} of {frames} frames arrived. Is the "
                        "disk full? Make room or choose another folder, then try again.")
