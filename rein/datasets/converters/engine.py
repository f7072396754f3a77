"""Convert many files: on all cores, skipping what is done, naming what is broken.

Workers use Pillow, zlib and NumPy only: a forked process hangs in OpenCV when its parent has
already used OpenCV's threads.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from functools import partial
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from pathlib import Path
from typing import NamedTuple

from PIL import Image, UnidentifiedImageError
from tqdm import tqdm

from rein.errors import UserError

NAMES_IN_SUMMARY = 5
PNG_END = b"IEND\xaeB`\x82"  # the last chunk's kind and checksum


class Job(NamedTuple):
    """Files to read, the first of which names the job, and the files to make of them."""

    sources: tuple[Path, ...]
    targets: tuple[Path, ...]


class Report(NamedTuple):
    """How many jobs were converted and skipped, and which failed: (first source, reason)."""

    converted: int
    skipped: int
    failed: tuple[tuple[Path, str], ...]


class _Outcome(NamedTuple):
    """What became of one job; `reason` tells why it failed."""

    source: Path
    status: str
    reason: str = ""


def run_jobs(
    jobs: Sequence[Job],
    encode: Callable[[tuple[Path, ...]], tuple[bytes, ...]],
    *,
    workers: int | None = None,
    overwrite: bool = False,
) -> Report:
    """Convert each job whose targets are missing, older than its sources or damaged.

    Args:
        jobs: What to convert; no two jobs share a target.
        encode: Turns a job's sources into the contents of its targets. It has to be picklable;
            whatever it raises counts as that one job's failure.
        workers: Processes; None means one per available core.
        overwrite: Convert what is done, too.

    Returns:
        The counts and failures; each failure has also been printed to stderr.

    Raises:
        UserError: `workers` is below 1, or a worker died.
    """
    workers = available_cores() if workers is None else workers
    if workers < 1:
        raise UserError(f"{workers} workers: expected at least 1.")
    counts = {"converted": 0, "skipped": 0}
    failed = []
    run = partial(_run_job, encode, overwrite)
    with closing(_outcomes(jobs, run, min(workers, len(jobs)))) as outcomes:
        for outcome in tqdm(outcomes, total=len(jobs), unit="file", desc="Converting"):
            if outcome.status == "failed":
                failed.append((outcome.source, outcome.reason))
                tqdm.write(f"failed: {outcome.source}: {outcome.reason}", file=sys.stderr)
            else:
                counts[outcome.status] += 1
    return Report(counts["converted"], counts["skipped"], tuple(failed))


def summarize(report: Report, where: str) -> int:
    """Print a report's counts, the names of broken files, and where the results lie.

    Args:
        report: What `run_jobs` returned.
        where: The files written, as a path or pattern.

    Returns:
        Exit code: 0, or 1 if a job failed.
    """
    names = [str(source) for source, _ in report.failed[:NAMES_IN_SUMMARY]]
    if len(report.failed) > NAMES_IN_SUMMARY:
        names.append("... (all named above)")
    listing = f" ({', '.join(names)})" if names else ""
    print(
        f"{report.converted} converted, {report.skipped} skipped, "
        f"{len(report.failed)} failed{listing}: {where}"
    )
    return 1 if report.failed else 0


def available_cores() -> int:
    """Cores this process may run on, which can be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file, and its folder, so that it is either whole or not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # the process id keeps two runs at once from writing into the same file
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _outcomes(jobs: Sequence[Job], run: Callable[[Job], _Outcome], workers: int) -> Iterator:
    """Run all jobs, yielding their outcomes in order; nothing goes on once this is closed."""
    if workers <= 1:
        yield from map(run, jobs)
        return
    # forked workers need not import everything again; elsewhere the platform's own way is safer
    context = get_context("fork" if sys.platform == "linux" else None)
    pool = ProcessPoolExecutor(workers, context, initializer=_start_worker)
    # few hand-overs between processes, yet soon done after Ctrl-C
    chunk = max(1, min(4, len(jobs) // (workers * 8)))
    try:
        yield from pool.map(run, jobs, chunksize=chunk)
    except BrokenProcessPool:
        raise UserError(
            "a worker process died, perhaps for lack of memory. Run the command again with fewer "
            "--workers; what is done stays done."
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _start_worker() -> None:
    """Leave Ctrl-C to the parent, which lets the files at hand be finished; end if it dies."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this worker when its parent was killed; it would wait for work for ever."""
    wait([parent_process().sentinel])
    os._exit(1)


def _run_job(
    encode: Callable[[tuple[Path, ...]], tuple[bytes, ...]], overwrite: bool, job: Job
) -> _Outcome:
    """Convert one job unless it is done."""
    source = job.sources[0]
    try:
        if not overwrite and _is_done(job):
            return _Outcome(source, "skipped")
        for target, content in zip(job.targets, encode(job.sources), strict=True):
            write_atomically(target, content)
    except Exception as error:  # one broken file of thousands must not end the run
        return _Outcome(source, "failed", _reason(error))
    return _Outcome(source, "converted")


def _reason(error: Exception) -> str:
    """An error in words; one that no broken file should cause keeps its type's name."""
    if isinstance(error, UnidentifiedImageError):
        return "not an image"
    if isinstance(error, (OSError, ValueError, SyntaxError)):  # SyntaxError: Pillow, broken PNG
        return str(error)
    return f"{type(error).__name__}: {error}"


def _is_done(job: Job) -> bool:
    """Whether all targets are intact and no older than any source."""
    if not all(target.exists() for target in job.targets):
        return False
    newest_source = max(source.stat().st_mtime_ns for source in job.sources)
    oldest_target = min(target.stat().st_mtime_ns for target in job.targets)
    return oldest_target >= newest_source and all(map(_is_intact, job.targets))


def _is_intact(path: Path) -> bool:
    """Whether an image is whole."""
    try:
        with Image.open(path) as image:
            if image.format != "PNG":
                image.load()
                return True
            image.verify()  # every chunk's checksum but the last one's, without decoding
        return path.read_bytes().endswith(PNG_END)
    except (OSError, ValueError, SyntaxError):
        return False
