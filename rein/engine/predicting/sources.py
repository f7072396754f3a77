"""Find the inputs of `rein predict`, read images, and name the outputs."""

import contextlib
import glob
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rein.datasets.image_files import is_cut_short
from rein.errors import UserError
from rein.images import read_image
from rein.paths import find_path

IMAGE_SUFFIXES = {
    ".bmp", ".jp2", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
VIDEO_SUFFIXES = {
    ".avi", ".gif", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm", ".wmv"}


class Unreadable(UserError):
    """An input cannot be read; the others can be predicted."""


class Source(NamedTuple):
    """One image, video or camera.

    Attributes:
        path: The file; the number of a camera.
        name: Path of its outputs inside their folders, with the file's suffix.
        kind: "image", "video" or "camera".
    """

    path: str
    name: str
    kind: str


def find_sources(inputs: Sequence[str], out: Path) -> list[Source]:
    """Find all images and videos, in the order of the inputs.

    Names are relative to the inputs' common folder, so that a/x.jpg and b/x.jpg stay apart.

    Args:
        inputs: Files, folders (searched recursively), patterns such as "photos/**/*.jpg", and
            numbers of cameras.
        out: Folder of the outputs; files in it are not taken for inputs.

    Raises:
        UserError: An input does not exist, or contains no image and no video.
    """
    files, roots, cameras = [], [], []
    for text in inputs:
        if text.isdecimal() and not os.path.exists(text):
            cameras.append(Source(text, f"camera_{text}", "camera"))
            continue
        root, found = _find(text, Path(os.path.abspath(out)))
        roots.append(root)
        files += found
    common = Path(os.path.commonpath(roots)) if roots else Path()
    sources = [Source(str(path), path.relative_to(common).as_posix(), kind_of(path))
               for path in dict.fromkeys(files)]
    return sources + cameras


def kind_of(path: Path) -> str:
    """Tell images from videos by their suffix; any other file is taken for an image."""
    return "video" if path.suffix.lower() in VIDEO_SUFFIXES else "image"


def _find(text: str, out: Path) -> tuple[Path, list[Path]]:
    """Return the folder and the files of an input."""
    path = Path(os.path.abspath(find_path(text)))
    if path.is_file():
        return path.parent, [path]
    if path.is_dir():
        root, candidates = path, path.rglob("*")
    elif glob.has_magic(text):
        root = Path(os.path.abspath(Path(*_before_pattern(Path(text).parts))))
        candidates = map(Path, map(os.path.abspath, glob.iglob(text, recursive=True)))
    else:
        raise UserError(f"{text}: no such file or folder. Give images, videos, folders, a pattern "
                        "in quotes, or the number of a camera.")
    found = sorted(
        path for path in candidates
        if path.suffix.lower() in IMAGE_SUFFIXES | VIDEO_SUFFIXES
        and not path.name.startswith(".") and (path.is_file() or _is_dead(path)))
    files = [path for path in found if out not in path.parents]
    if found and not files:
        raise UserError(f"{text}: is in {out}, the folder of the outputs, where they could "
                        "replace your files. Choose another folder with --out.")
    if not files:
        raise UserError(f"{text}: no image and no video found. Known suffixes: "
                        f"{', '.join(sorted(IMAGE_SUFFIXES | VIDEO_SUFFIXES))}.")
    return root, files


def _is_dead(path: Path) -> bool:
    """Tell whether a path is a link to a missing file."""
    return path.is_symlink() and not path.exists()


def check_link(path: str | Path) -> None:
    """Raise `Unreadable` if a path is a link to a missing file."""
    if _is_dead(Path(path)):
        raise Unreadable(f"{path}: is a link to {os.readlink(path)}, which is missing. Restore it "
                         "or remove the link.")


def _before_pattern(parts: Iterable[str]) -> Iterable[str]:
    """Yield the folders of a pattern before its first wildcard."""
    for part in list(parts)[:-1]:
        if glob.has_magic(part):
            return
        yield part


def read_rgb(path: str | Path) -> np.ndarray:
    """Read an image as `rein.read_image` does; truncated files are refused.

    Raises:
        Unreadable: The file is missing, a dead link, does not decode or is truncated.
    """
    check_link(path)
    with contextlib.suppress(OSError):  # named by `read_image`
        if is_cut_short(path):  # before decoders print their own messages
            raise Unreadable(f"{path}: the image is truncated. Copy or download it again.")
    try:
        return read_image(path)
    except UserError as error:
        raise Unreadable(str(error)) from error


def output_name(name: str, suffix: str) -> str:
    """Append a suffix unless the name ends in it, so that x.jpg and x.png stay apart."""
    return name if name.lower().endswith(suffix) else name + suffix
