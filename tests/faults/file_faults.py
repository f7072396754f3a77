"""Fail the n-th file operation below a folder, or kill the process at it; run code in a child.

    with file_faults(folder) as seen:            # which operations are there?
        work()
    for at in range(len(seen)):
        with file_faults(folder, at, errno.ENOSPC), pytest.raises(UserError):
            work()
    ended = in_child(work_killed_at, at)         # SIGKILL ends only the child

Operations are those of Python's own functions: opening, writing, fsync, renaming, removing, making
folders. Files written by C code (cv2.imwrite, safetensors) show neither opening nor writing; limit
their size with `resource.RLIMIT_FSIZE` instead.
"""

import builtins
import contextlib
import faulthandler
import gc
import io
import os
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

KILL = "SIGKILL"
"""The fault that ends the process without any clean-up."""
DEADLINE = 240
"""Seconds after which a child must have ended; one that hangs shows where."""

_PATHS = {  # audit event -> positions of the paths in its arguments
    "open": (0,), "os.rename": (0, 1), "os.remove": (0,), "os.mkdir": (0,), "os.rmdir": (0,),
    "os.truncate": (0,), "os.link": (0, 1), "os.symlink": (0, 1),
}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Operation(NamedTuple):
    """One file operation: `name` is read, open, write, fsync, rename, remove, mkdir, ..."""

    name: str
    path: str


class _Faults:
    """Count the operations below a folder, and make some of them fail."""

    def __init__(self, root, at, fault, lasting, counts):
        self.root, self.at, self.fault = os.path.abspath(root), at, fault
        self.lasting, self.counts = lasting, counts
        self.seen: list[Operation] = []
        self.pid = os.getpid()  # the workers of data loaders are left alone

    def meet(self, name: str, path, half: Callable | None = None) -> None:
        """Count one operation; kill or raise if it is its turn, after doing `half` of it."""
        if isinstance(path, int) or path is None or os.getpid() != self.pid:
            return
        path = os.path.abspath(os.fsdecode(path))
        operation = Operation(name, path)
        if not (path + "/").startswith(self.root + "/") or not self.counts(operation):
            return
        self.seen.append(operation)
        number = len(self.seen) - 1
        if self.at is None or number < self.at or (number > self.at and not self.lasting):
            return
        if half is not None:
            half()
        if self.fault == KILL:
            os.kill(self.pid, signal.SIGKILL)
        raise OSError(self.fault, os.strerror(self.fault), path)


_active: _Faults | None = None
_hooked = False


def _audit(event: str, arguments: tuple) -> None:
    if _active is None or event not in _PATHS:
        return
    name = event.removeprefix("os.")
    if event == "open" and not (arguments[2] or 0) & _WRITING:
        name = "read"
    _active.meet(name, arguments[_PATHS[event][-1]])


class _WatchedFile(io.FileIO):
    def write(self, data) -> int:
        if _active is not None:
            data = bytes(data)
            _active.meet("write", self.name, lambda: super(_WatchedFile, self).write(
                data[:len(data) // 2]))
        return super().write(data)


def _open(real, file, mode="r", buffering=-1, encoding=None, errors=None, newline=None,
          closefd=True, opener=None):
    """Open as `open` does; count the writes that reach the disk."""
    if isinstance(file, int) or not set(mode) & set("wax+"):
        return real(file, mode, buffering, encoding, errors, newline, closefd, opener)
    raw = _WatchedFile(file, mode.replace("b", "").replace("t", ""), closefd, opener)
    if buffering == 0:
        return raw
    buffered = (io.BufferedRandom if "+" in mode else io.BufferedWriter)(raw)
    if "b" in mode:
        return buffered
    text = io.TextIOWrapper(buffered, encoding, errors, newline, buffering == 1)
    text.mode = mode
    return text


@contextlib.contextmanager
def file_faults(
    root: Path, at: int | None = None, fault: int | str | None = None, lasting: bool = False,
    counts: Callable[[Operation], bool] = lambda operation: operation.name != "read",
) -> Iterator[list[Operation]]:
    """Count the file operations below a folder; the one numbered `at` fails.

    Args:
        root: The folder. Operations elsewhere are neither counted nor touched.
        at: Number of the operation, from 0; None: none fails.
        fault: An error number (errno.ENOSPC, EIO, EACCES), or `KILL`. A write that fails or is
            killed has written half of its bytes.
        lasting: All later operations fail, too, as on a full disk.
        counts: Which operations count; by default all but opening for reading ("read").

    Yields:
        The operations counted, in order.
    """
    global _active, _hooked
    if not _hooked:  # an audit hook cannot be removed
        sys.addaudithook(_audit)
        _hooked = True
    real_open, real_fsync = io.open, os.fsync

    def open_(*arguments, **named):
        return _open(real_open, *arguments, **named)

    def fsync(file):
        if _active is not None:
            number = file if isinstance(file, int) else file.fileno()
            _active.meet("fsync", os.readlink(f"/proc/self/fd/{number}"))
        return real_fsync(file)

    _active = faults = _Faults(root, at, fault, lasting, counts)
    builtins.open = io.open = open_
    os.fsync = fsync
    try:
        yield faults.seen
    finally:
        _active = None
        builtins.open = io.open = real_open
        os.fsync = real_fsync


class Ended(NamedTuple):
    """How a child ended: its exit code (-9 after SIGKILL), and the text it printed."""

    code: int
    out: str
    err: str


def in_child(function: Callable, *arguments, kill_after: float | None = None) -> Ended:
    """Call a function in a forked child, which spares a new process and its imports.

    Args:
        function: Its result, or that of `sys.exit`, is the exit code; None is 0.
        *arguments: Arguments of the function.
        kill_after: Seconds until the child gets SIGKILL, if it still runs. Default: after
            `DEADLINE` it gets SIGABRT, and prints the stacks of its threads.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            _be_child(function, arguments, out.fileno(), err.fileno())
        seconds, how = (
            (DEADLINE, signal.SIGABRT) if kill_after is None else (kill_after, signal.SIGKILL))
        timer = threading.Timer(seconds, os.kill, (pid, how))
        timer.start()
        _, status = os.waitpid(pid, 0)
        timer.cancel()
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode(errors="replace"))
    return Ended(os.waitstatus_to_exitcode(status), *texts)


def _be_child(function: Callable, arguments: tuple, out: int, err: int) -> None:
    code = 1
    try:
        gc.freeze()  # the parent's garbage may have processes and locks, which are the parent's
        tqdm.set_lock(threading.RLock())  # its own is shared: killed with it, the parent would wait
        os.dup2(out, 1)
        os.dup2(err, 2)
        faulthandler.enable(2)
        sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
        code = function(*arguments) or 0
    except SystemExit as end:
        code = end.code or 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)
