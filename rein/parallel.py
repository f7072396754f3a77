"""Work spread over the machine's cores."""

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
    """Cores this process may run on, which can be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_processes(
    function: Callable[[Any], Any], items: Sequence, workers: int | None = None
) -> Iterator:
    """Apply a function to each item in several processes.

    Args:
        function: Picklable; it may use OpenCV only after `cv2.setNumThreads(0)` here: a forked
            process hangs in OpenCV if its parent has used OpenCV's threads.
        items: Its arguments.
        workers: Processes; None means one per available core.

    Yields:
        The results in order. Nothing goes on once this is closed.

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
    # forked workers need not import everything again; elsewhere the platform's own way is safer
    context = get_context("fork" if sys.platform == "linux" else None)
    pool = ProcessPoolExecutor(workers, context, initializer=_start_worker)
    # few hand-overs between processes, yet soon done after Ctrl-C
    chunk = max(1, min(4, len(items) // (workers * 8)))
    try:
        yield from pool.map(function, items, chunksize=chunk)
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
