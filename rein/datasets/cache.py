"""Cache decoded images and labels as raw pixels: mapping takes 0.1 ms, decoding a PNG 55 ms.

A cache file is a header followed by the pixels as the loading transform returned them. The header
stores the size and modification time of the source, so that outdated copies are never used.
"""

import logging
import os
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
from tqdm import tqdm

from rein.atomic_files import CONTINUES, naming_failures, remove_stale, write_atomically
from rein.datasets.exact_labels import LoadExactLabels
from rein.datasets.image_files import is_cut_short
from rein.errors import UserError
from rein.parallel import in_processes

CACHE_VARIABLE = "REIN_DATA_CACHE"

_HEADER = struct.Struct("<8sqqiii")  # magic, source size in bytes, mtime in ns, H, W, channels
_MARK = b"reinraw2"  # increase the number when the layout or a decoder changes
_SAID: set[str] = set()  # caches already warned about


class CacheReport(NamedTuple):
    """Numbers of written and kept files, and failures as (source, reason)."""

    written: int
    kept: int
    failed: tuple[tuple[str, str], ...]


def cache_from_environment() -> str | None:
    """Return the folder set by REIN_DATA_CACHE, or None if it is unset or empty.

    Raises:
        UserError: The folder does not exist.
    """
    folder = os.environ.get(CACHE_VARIABLE) or None
    if folder and not os.path.isdir(folder):
        raise UserError(
            f"{CACHE_VARIABLE}={folder}: no such folder. Create it with "
            f"`python tools/cache_dataset.py CONFIG {folder}`, or unset {CACHE_VARIABLE}.")
    return folder


def load(transform: Callable, results: dict, cache_dir: str | None) -> dict | None:
    """Load an image or a label, from the cache if possible.

    Args:
        transform: A `LoadImageFromFile` or `LoadExactLabels`. With non-default options,
            such as another decoder, it always loads from the source.
        results: Holds `img_path` or `seg_map_path`.
        cache_dir: Folder written by `cache_files`; None to load from the source.

    Returns:
        The same result as `transform(results)`.
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
    """Tell whether the transform would load the same pixels as `_decode`."""
    if isinstance(transform, LoadImageFromFile):
        expected = LoadImageFromFile()
    elif type(transform) is LoadExactLabels:
        if results.get("reduce_zero_label") or results.get("label_map"):
            return False
        expected = LoadExactLabels()
        expected.reduce_zero_label = transform.reduce_zero_label  # set by the first sample
    else:
        return False
    return vars(transform) == vars(expected)


def read(source: str, cache_dir: str, ndim: int) -> np.ndarray | None:
    """Map a cached image or label into memory.

    Args:
        source: The original file.
        cache_dir: Folder written by `cache_files`.
        ndim: 3 for an image, 2 for a label.

    Returns:
        uint8 (H, W, 3) in BGR or (H, W); writing to it leaves the file unchanged. None if the file
        is not cached or its copy is outdated; outdated copies are reported once.
    """
    path = _path_of(source, cache_dir)
    try:
        with open(path, "rb") as file:
            content = file.read(_HEADER.size)
        shape = _shape_if_fresh(content, source, path)
    except FileNotFoundError:
        return None
    except OSError:  # unreadable
        shape = None
    if shape is None or len(shape) != ndim:
        _report_stale_cache_once(cache_dir, source)
        return None
    # mode "c": pages are read on access and copied on write
    return np.asarray(np.memmap(path, np.uint8, "c", _HEADER.size, shape))


def _shape_if_fresh(content: bytes, source: str, path: Path) -> tuple[int, ...] | None:
    """Return the shape from a header if the cached file is complete and up to date, else None."""
    if len(content) < _HEADER.size:
        return None
    mark, size, changed, height, width, channels = _HEADER.unpack(content)
    state = os.stat(source)
    pixels = height * width * (channels or 1)
    if (mark, size, changed) != (_MARK, state.st_size, state.st_mtime_ns) \
            or path.stat().st_size != _HEADER.size + pixels:
        return None
    return (height, width, channels) if channels else (height, width)


def _report_stale_cache_once(cache_dir: str, source: str) -> None:
    if cache_dir not in _SAID:
        _SAID.add(cache_dir)
        print_log(
            f"{source} has changed since it was cached in {cache_dir}, or the cache is damaged; "
            f"such files are decoded from the source. Run `python tools/cache_dataset.py "
            f"CONFIG {cache_dir}` again.", "current", logging.WARNING)


def _path_of(source: str, cache_dir: str) -> Path:
    """Derive the cached file's path from the source's absolute path, so that it is unique."""
    return Path(cache_dir, *Path(f"{os.path.abspath(source)}.raw").parts[1:])


def cache_files(
    sources: Sequence[tuple[str, bool]], cache_dir: Path, *, workers: int | None = None
) -> CacheReport:
    """Decode files into the cache; keep those that are up to date.

    Args:
        sources: Images and labels as (path, whether it is a label).
        cache_dir: Cache folder; created if missing.
        workers: Processes; None means one per available core.

    Raises:
        UserError: The disk is full, the folder is not writable, or `workers` is below 1.
    """
    counts, failed = Counter(), []
    with naming_failures(cache_dir, CONTINUES):
        cache_dir.mkdir(parents=True, exist_ok=True)
        for folder in {_path_of(source, str(cache_dir)).parent for source, _ in sources}:
            remove_stale(folder)
    cv2.setNumThreads(0)  # OpenCV threads would hang forked processes
    with closing(in_processes(partial(_cache_file, str(cache_dir)), sources, workers)) as outcomes:
        progress = tqdm(outcomes, total=len(sources), unit="file", desc="Caching")
        for (source, _), outcome in zip(sources, progress, strict=True):
            if isinstance(outcome, OSError):
                with naming_failures(cache_dir, CONTINUES):
                    raise outcome
            counts[outcome] += 1
            if outcome not in ("written", "kept"):
                failed.append((source, outcome))
    return CacheReport(counts["written"], counts["kept"], tuple(failed))


def _cache_file(cache_dir: str, item: tuple[str, bool]) -> str | OSError:
    """Cache one file; return "written", "kept", the reason for a failure, or the write error."""
    source, is_label = item
    path = _path_of(source, cache_dir)
    try:
        if path.is_file():
            with path.open("rb") as file:
                if _shape_if_fresh(file.read(_HEADER.size), source, path):
                    return "kept"
        state = os.stat(source)  # before decoding, so that a later change makes the copy stale
        pixels = _decode(source, is_label)
        shape = pixels.shape if pixels.ndim == 3 else (*pixels.shape, 0)
        header = _HEADER.pack(_MARK, state.st_size, state.st_mtime_ns, *shape)
    except Exception as error:  # each decoder raises its own types
        return str(error) or type(error).__name__
    try:
        write_atomically(path, header + pixels.tobytes())
    except OSError as error:
        return error
    return "written"


def _decode(source: str, is_label: bool) -> np.ndarray:
    """Load a file as training does: an image (H, W, 3) in BGR or a label (H, W)."""
    if is_cut_short(source):
        raise ValueError("the file is truncated")
    if not is_label:
        return LoadImageFromFile()(dict(img_path=source))["img"]
    loaded = LoadExactLabels()(dict(seg_map_path=source, reduce_zero_label=False, seg_fields=[]))
    return loaded["gt_seg_map"]
