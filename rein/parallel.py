"""Spread work over the machine's cores."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from typing import Any

from rein.errors import UserError


def available_cores() -> int:
    """Return the number of cores this process may use, possibly fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):  # missing on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_processes(
    function: Callable[[Any], Any], items: Sequence, workers: int | None = None
) -> Iterator:
    """Apply a function to each item in several processes.

    Args:
        function: Picklable. If it uses OpenCV, call `cv2.setNumThreads(0)` in this process first:
            a forked process hangs in OpenCV if its parent has used OpenCV's threads.
        items: Its arguments, one per call.
        workers: Processes; None means one per available core.

    Yields:
        The results in order. Closing the iterator stops the work.

    Raises:
        UserError: `workers` is below 1, or a worker died.
    """
    workers = available_cores() if workers is None else workers
    if workers < 1:
        raise UserError(f"{workers} workers: expected at least 1.")
    workers = min(workers, len(items))
    if workers <= 1:
        yield from map(function, items)
        return
    # forked workers skip the imports; on other platforms the default method is safer
    context = get_context("fork" if sys.platform == "linux" else None)
    pool = ProcessPoolExecutor(workers, context, initializer=_start_worker)
    # large enough for few transfers, small enough to stop soon after Ctrl-C
    chunk = max(1, min(4, len(items) // (workers * 8)))
    try:
        yield from pool.map(function, items, chunksize=chunk)
    except BrokenProcessPool:
        raise UserError(
            "a worker process died, perhaps out of memory. Run the command again with fewer "
            "--workers; finished work is kept."
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _start_worker() -> None:
    """Leave Ctrl-C to the parent, so that current files are finished; exit if it dies."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Exit when the parent is killed; this worker would otherwise wait for work forever."""
    wait([parent_process().sentinel])
    os._exit(1)
