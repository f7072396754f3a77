"""Run a function in a forked process, within a bound of time and memory."""

import faulthandler
import gc
import os
import pickle
import resource
import select
import signal
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch

SECONDS = 60
MEGABYTES = 1500  # beyond the memory of this process


class Outcome(NamedTuple):
    """How a forked function ended.

    Attributes:
        value: Its return value; None if it did not return.
        failure: "" if it returned, else what ended it.
        seconds: Wall time.
        megabytes: Peak memory beyond that of this process at the start.
    """

    value: Any
    failure: str
    seconds: float
    megabytes: float


def run_bounded(function: Callable[[], Any], seconds: float = SECONDS) -> Outcome:
    """Run a function in a forked process; kill it when its time is over.

    A fork starts in milliseconds and with all imports. Memory is bounded by the address space.
    """
    start, before = time.monotonic(), _resident_megabytes()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _run_child(function, writer)
    os.close(writer)
    answer, failure = b"", ""
    while True:
        left = seconds - (time.monotonic() - start)
        if left <= 0 or not select.select([reader], [], [], left)[0]:
            failure = f"still running after {seconds:.0f} s"
            os.killpg(child, signal.SIGKILL)
            break
        part = os.read(reader, 1 << 20)
        if not part:
            break
        answer += part
    os.close(reader)
    _, status, usage = os.wait4(child, 0)
    value = None
    if not failure:
        if answer:
            value = pickle.loads(answer)
        else:
            failure = f"ended by signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else (
                "ended without an answer")
    grown = usage.ru_maxrss / 1024 - before
    if not failure and grown > MEGABYTES:
        failure = f"took {grown:.0f} MB"
    return Outcome(value, failure, time.monotonic() - start, grown)


def _run_child(function: Callable[[], Any], writer: int) -> None:
    """Run the function in the child, send its value and exit."""
    try:
        os.setsid()
        gc.freeze()  # the parent's garbage may have processes and locks, which are the parent's
        faulthandler.disable()
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        limit = _mapped_bytes() + (MEGABYTES << 20)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        torch.set_num_threads(1)
        with os.fdopen(writer, "wb") as out:
            out.write(pickle.dumps(function()))
    finally:
        os._exit(0)


def _resident_megabytes() -> float:
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() / 2**20


def _mapped_bytes() -> int:
    return int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
