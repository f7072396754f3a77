"""Convert many files on all cores; skip finished files and name broken ones.

Workers use only Pillow, zlib and NumPy: a forked process hangs in OpenCV if its parent has already
used OpenCV's threads.
"""

import errno
import re
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError
from tqdm import tqdm

from rein.atomic_files import CONTINUES, naming_failures, remove_stale, write_atomically
from rein.datasets.converters.class_pixels import (
    ClassPixels,
    count_pixels,
    describe_statistics,
    write_statistics,
)
from rein.datasets.converters.label_pngs import encode_label_image, require_size_of
from rein.datasets.image_files import PNG_END
from rein.datasets.label_maps import CLASSES
from rein.parallel import in_processes

NAMES_IN_SUMMARY = 5


class Job(NamedTuple):
    """Files to read, the first of which names the job, and files to write.

    Attributes:
        sources: Files to read.
        targets: Files to write.
        labels_in: Folder whose class statistics include the last target, a label.
        image: Image whose size the last target, a label, must have.
    """

    sources: tuple[Path, ...]
    targets: tuple[Path, ...]
    labels_in: Path | None = None
    image: Path | None = None


Encode = Callable[[tuple[Path, ...]], tuple["bytes | np.ndarray", ...]]
"""Maps a job's sources to the contents of its targets; arrays are written as label images."""


@dataclass(frozen=True)
class Report:
    """Numbers of converted and skipped jobs, and failures as (first source, reason).

    `statistics` are the files with the pixels of each class, one per label folder.
    """

    converted: int
    skipped: int
    failed: tuple[tuple[Path, str], ...]
    statistics: tuple[Path, ...] = field(default=(), compare=False)


class _Outcome(NamedTuple):
    """Result of one job; `reason` says why it failed, `unwritable` why nothing was written."""

    source: Path
    status: str
    reason: str = ""
    pixels: ClassPixels | None = None
    unwritable: OSError | None = None


def run_jobs(
    jobs: Sequence[Job], encode: Encode, *, classes: Sequence[str] = CLASSES,
    workers: int | None = None, overwrite: bool = False,
) -> Report:
    """Convert each job whose targets are missing, older than its sources or damaged.

    The old targets of an unfit job are removed: training would use them.

    Args:
        jobs: The jobs; no two share a target.
        encode: Makes the contents of a job's targets. Must be picklable; an exception fails only
            that job.
        classes: Name of each trainId, for the statistics.
        workers: Processes; None means one per available core.
        overwrite: Reconvert finished files.

    Returns:
        The counts and failures; each failure is also printed to stderr.

    Raises:
        UserError: `workers` is below 1, a worker died, or a target cannot be written.
    """
    _remove_stale(jobs)
    counts = Counter()
    failed = []
    pixels: dict[Path, dict[str, ClassPixels]] = {}
    run = partial(_run_job, encode, overwrite)
    with closing(in_processes(run, jobs, workers)) as outcomes:
        progress = tqdm(outcomes, total=len(jobs), unit="file", desc="Converting")
        for job, outcome in zip(jobs, progress, strict=True):
            if outcome.unwritable:
                with naming_failures(job.targets[0].parent, CONTINUES):
                    raise outcome.unwritable
            counts[outcome.status] += 1
            if outcome.status == "failed":
                failed.append((outcome.source, outcome.reason))
                tqdm.write(f"failed: {outcome.source}: {outcome.reason}", file=sys.stderr)
            elif job.labels_in is not None:
                name = job.targets[-1].relative_to(job.labels_in).as_posix()
                pixels.setdefault(job.labels_in, {})[name] = outcome.pixels
    statistics = tuple(
        write_statistics(folder, files, classes) for folder, files in pixels.items())
    return Report(counts["converted"], counts["skipped"], tuple(failed), statistics)


def _remove_stale(jobs: Sequence[Job]) -> None:
    """Remove the temporary files that killed runs left where these jobs write."""
    folders = {target.parent for job in jobs for target in job.targets}
    folders |= {job.labels_in for job in jobs if job.labels_in}
    for folder in folders:
        with naming_failures(folder, CONTINUES):
            remove_stale(folder)


def summarize(report: Report, where: str) -> int:
    """Print the kinds of failures, the class shares, the counts and the path of the results.

    Args:
        report: Result of `run_jobs`.
        where: The written files, as a path or pattern.

    Returns:
        Exit code: 0, or 1 if a job failed.
    """
    # failures that differ only in numbers, sizes or paths count as one kind
    kinds = Counter(re.sub(r"\S*[/\d]\S*", "*", reason) for _, reason in report.failed)
    for kind, count in kinds.most_common(NAMES_IN_SUMMARY):
        print(f"{count} x {kind}", file=sys.stderr)
    for path in report.statistics:
        print(describe_statistics(path))
    names = [str(source) for source, _ in report.failed[:NAMES_IN_SUMMARY]]
    if len(report.failed) > NAMES_IN_SUMMARY:
        names.append("... (all named above)")
    listing = f" ({', '.join(names)})" if names else ""
    print(
        f"{report.converted} converted, {report.skipped} skipped, "
        f"{len(report.failed)} failed{listing}: {where}"
    )
    return 1 if report.failed else 0


def _run_job(encode: Encode, overwrite: bool, job: Job) -> _Outcome:
    """Run one job unless its targets are up to date."""
    source = job.sources[0]
    try:
        done = not overwrite and _is_done(job)
        contents = _read_label(job) if done else encode(job.sources)
        if job.image:
            require_size_of(job.image, contents[-1])
        pixels = count_pixels(contents[-1]) if job.labels_in else None
    except Exception as error:  # one broken file in thousands must not end the run
        return _Outcome(source, "failed", _reason(error) + _remove_unfit(job, error))
    if done:
        return _Outcome(source, "skipped", pixels=pixels)
    try:
        for target, content in zip(job.targets, contents, strict=True):
            if isinstance(content, np.ndarray):
                content = encode_label_image(content)
            write_atomically(target, content)
    except OSError as error:
        return _Outcome(source, "failed", unwritable=error)
    return _Outcome(source, "converted", pixels=pixels)


def _read_label(job: Job) -> tuple[np.ndarray, ...]:
    """Read the last target if it is a label, to check and count it."""
    if job.labels_in is None:
        return ()
    with Image.open(job.targets[-1]) as image:
        return (np.asarray(image),)


def _remove_unfit(job: Job, error: Exception) -> str:
    """Remove the old targets of a job that failed, unless it may succeed when repeated.

    Returns:
        What was done, to be added to the reason of the failure.
    """
    # an error number, other than that of a missing file, is the disk's fault
    about_disk = isinstance(error, OSError) and error.errno not in (None, errno.ENOENT)
    if about_disk or not isinstance(error, OSError | ValueError | SyntaxError):
        return ""
    try:
        removed = [target for target in job.targets if target.exists()]
        for target in removed:
            target.unlink()
    except OSError as failure:
        return f"; its outdated output cannot be removed ({failure})"
    return f"; removed the outdated {' and '.join(map(str, removed))}" if removed else ""


def _reason(error: Exception) -> str:
    """Describe an error; add the type if a broken file would not explain it."""
    if isinstance(error, UnidentifiedImageError):
        return "not an image"
    if isinstance(error, (OSError, ValueError, SyntaxError)):  # SyntaxError: Pillow, broken PNG
        return str(error)
    return f"{type(error).__name__}: {error}"


def _is_done(job: Job) -> bool:
    """Tell whether all targets are intact and at least as new as every source."""
    if not all(target.exists() for target in job.targets):
        return False
    newest_source = max(source.stat().st_mtime_ns for source in job.sources)
    oldest_target = min(target.stat().st_mtime_ns for target in job.targets)
    return oldest_target >= newest_source and all(map(_is_intact, job.targets))


def _is_intact(path: Path) -> bool:
    """Tell whether an image file is complete."""
    try:
        with Image.open(path) as image:
            if image.format != "PNG":
                image.load()
                return True
            image.verify()  # checks all checksums except the last chunk's, without decoding
        return path.read_bytes().endswith(PNG_END)
    except Exception:  # each decoder raises its own types
        return False
