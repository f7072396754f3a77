"""Decoded images and labels kept as raw pixels: mapping one takes 0.1 ms, decoding a PNG 55.

A file of the cache is a header, then the pixels as the loading transform returned them. The header
names the source's size and time of change, so what was made of another file is never used.
"""

import errno
import logging
import os
import shutil
import struct
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import NamedTuple

import rein.compat  # noqa: F401  before mmseg

import cv2
import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmengine.logging import print_log
from mmseg.datasets.transforms import LoadAnnotations
from tqdm import tqdm

from rein.atomic_files import write_atomically
from rein.datasets.image_files import is_cut_short
from rein.errors import UserError
from rein.parallel import in_processes

CACHE_VARIABLE = "REIN_DATA_CACHE"

_HEADER = struct.Struct("<8sqqiii")  # mark, source's bytes, its mtime in ns, H, W, channels
_MARK = b"reinraw1"  # another layout gets another number
_SAID: set[str] = set()  # caches that were complained about


class CacheReport(NamedTuple):
    """How many files were written and were there already, and which failed: (source, reason)."""

    written: int
    kept: int
    failed: tuple[tuple[str, str], ...]


def cache_from_environment() -> str | None:
    """Return the folder that REIN_DATA_CACHE names, None where it names none.

    Raises:
        UserError: There is no such folder.
    """
    folder = os.environ.get(CACHE_VARIABLE) or None
    if folder and not os.path.isdir(folder):
        raise UserError(
            f"{CACHE_VARIABLE}={folder}: no such folder. Make it with "
            f"`python tools/cache_dataset.py CONFIG {folder}`, or unset {CACHE_VARIABLE}.")
    return folder


def load(transform: Callable, results: dict, cache_dir: str | None) -> dict | None:
    """Load an image or a label, from the cache if it is there.

    Args:
        transform: A `LoadImageFromFile` or mmseg's `LoadAnnotations`; one with options of its own,
            such as another decoder, is always asked itself.
        results: With `img_path` or `seg_map_path`.
        cache_dir: What `cache_files` wrote to; None: load from the source.

    Returns:
        What the transform returns.
    """
    if cache_dir is None or not _is_plain(transform, results):
        return transform(results)
    if isinstance(transform, LoadImageFromFile):
        pixels = read(results["img_path"], cache_dir, 3)
        if pixels is None:
            return transform(results)
        size = pixels.shape[:2]
        return dict(results, img=pixels, img_shape=size, ori_shape=size)
    pixels = read(results["seg_map_path"], cache_dir, 2)
    if pixels is None:
        return transform(results)
    fields = [*results.get("seg_fields", ()), "gt_seg_map"]
    return dict(results, gt_seg_map=pixels, seg_fields=fields)


def _is_plain(transform: Callable, results: dict) -> bool:
    """Whether the transform would do what `_decode` does."""
    if isinstance(transform, LoadImageFromFile):
        expected = LoadImageFromFile()
    elif type(transform) is LoadAnnotations:
        if results.get("reduce_zero_label") or results.get("label_map"):
            return False
        expected = LoadAnnotations()
        expected.reduce_zero_label = transform.reduce_zero_label  # known after the first sample
    else:
        return False
    return vars(transform) == vars(expected)


def read(source: str, cache_dir: str, ndim: int) -> np.ndarray | None:
    """Map a cached image or label into memory.

    Args:
        source: The original file.
        cache_dir: What `cache_files` wrote to.
        ndim: 3 for an image, 2 for a label.

    Returns:
        uint8 (H, W, 3) in BGR or (H, W), which may be written to without changing the file; None
        if it is not in the cache, or of no use since the source has changed, which is said once.
    """
    path = _path_of(source, cache_dir)
    try:
        with open(path, "rb") as file:
            content = file.read(_HEADER.size)
        shape = _shape_if_fresh(content, source, path)
    except FileNotFoundError:
        return None
    except OSError:  # not ours to read
        shape = None
    if shape is None or len(shape) != ndim:
        _say_once_that_it_is_of_no_use(cache_dir, source)
        return None
    # mode "c": pages are read when they are needed and copied when they are written to
    return np.asarray(np.memmap(path, np.uint8, "c", _HEADER.size, shape))


def _shape_if_fresh(content: bytes, source: str, path: Path) -> tuple[int, ...] | None:
    """Return the shape a header tells, if its file is whole and made of the source as it is."""
    if len(content) < _HEADER.size:
        return None
    mark, size, changed, height, width, channels = _HEADER.unpack(content)
    state = os.stat(source)
    pixels = height * width * (channels or 1)
    if (mark, size, changed) != (_MARK, state.st_size, state.st_mtime_ns) \
            or path.stat().st_size != _HEADER.size + pixels:
        return None
    return (height, width, channels) if channels else (height, width)


def _say_once_that_it_is_of_no_use(cache_dir: str, source: str) -> None:
    if cache_dir not in _SAID:
        _SAID.add(cache_dir)
        print_log(
            f"{source} has changed since it was cached in {cache_dir}, or the cache is damaged; "
            f"the file itself is loaded, and so with others. Run `python tools/cache_dataset.py "
            f"CONFIG {cache_dir}` again.", "current", logging.WARNING)


def _path_of(source: str, cache_dir: str) -> Path:
    """Name the cached file: the source's whole path again, so that no two sources share one."""
    return Path(cache_dir, *Path(f"{os.path.abspath(source)}.raw").parts[1:])


def cache_files(
    sources: Sequence[tuple[str, bool]], cache_dir: Path, *, workers: int | None = None
) -> CacheReport:
    """Decode files into the cache; those that are there and fresh are kept.

    Args:
        sources: Images and labels: (path, whether it is a label).
        cache_dir: The cache; made where missing.
        workers: Processes; None means one per available core.

    Raises:
        UserError: The disk is full, the folder cannot be written to, or `workers` is below 1.
    """
    counts, failed = Counter(), []
    try:
        cache_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _not_written(error, cache_dir) from None
    cv2.setNumThreads(0)  # a forked process hangs in OpenCV where it has threads
    with closing(in_processes(partial(_cache_file, str(cache_dir)), sources, workers)) as outcomes:
        progress = tqdm(outcomes, total=len(sources), unit="file", desc="Caching")
        for (source, _), outcome in zip(sources, progress, strict=True):
            if isinstance(outcome, OSError):
                raise _not_written(outcome, cache_dir)
            counts[outcome] += 1
            if outcome not in ("written", "kept"):
                failed.append((source, outcome))
    return CacheReport(counts["written"], counts["kept"], tuple(failed))


def _not_written(error: OSError, cache_dir: Path) -> UserError:
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return UserError(f"{cache_dir}: cannot be written to ({error}). Name another folder.")
    free = shutil.disk_usage(cache_dir).free / 1e9
    return UserError(
        f"{cache_dir}: the disk is full ({free:.1f} GB free). What is cached is whole and can be "
        "used; make room and run the command again, which goes on from here.")


def _cache_file(cache_dir: str, item: tuple[str, bool]) -> str | OSError:
    """Cache one file; returns what became of it, or why the cache cannot be written."""
    source, is_label = item
    path = _path_of(source, cache_dir)
    try:
        if path.is_file():
            with path.open("rb") as file:
                if _shape_if_fresh(file.read(_HEADER.size), source, path):
                    return "kept"
        state = os.stat(source)  # before decoding: a change in between makes the copy stale
        pixels = _decode(source, is_label)
        shape = pixels.shape if pixels.ndim == 3 else (*pixels.shape, 0)
        header = _HEADER.pack(_MARK, state.st_size, state.st_mtime_ns, *shape)
    except Exception as error:  # each decoder has its own kinds
        return str(error) or type(error).__name__
    try:
        write_atomically(path, header + pixels.tobytes())
    except OSError as error:
        return error
    return "written"


def _decode(source: str, is_label: bool) -> np.ndarray:
    """Load a file as training does, (H, W, 3) in BGR or a label (H, W)."""
    if is_cut_short(source):
        raise ValueError("it ends early")
    if not is_label:
        return LoadImageFromFile()(dict(img_path=source))["img"]
    loaded = LoadAnnotations()(dict(seg_map_path=source, reduce_zero_label=False, seg_fields=[]))
    return loaded["gt_seg_map"]
