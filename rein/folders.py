"""Write several files of a folder together, by one process at a time."""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from rein.errors import UserError

_STAGING = ".new"
_LOCKS: set[int] = set()  # handles of the folders that this process has locked


def _leave_locks_to_parent() -> None:
    """Close the parent's handles: a forked worker that outlives it would keep its locks."""
    while _LOCKS:
        os.close(_LOCKS.pop())


os.register_at_fork(after_in_child=_leave_locks_to_parent)


def check_folder(folder: Path) -> None:
    """Raise a `UserError` if a folder to write to is a file."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder}: is a file, but a folder is needed for the outputs. Choose "
                        "another name.")


@contextlib.contextmanager
def new_folders(*folders: Path) -> Iterator[None]:
    """Create folders; if an error occurs, remove those that are new and still empty."""
    new = {path for folder in folders for path in (folder, *folder.parents) if not path.exists()}
    try:
        for folder in folders:
            check_folder(folder)
            folder.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        for path in sorted(new, key=lambda path: len(path.parts), reverse=True):
            with contextlib.suppress(OSError):  # holds files
                path.rmdir()
        raise


@contextlib.contextmanager
def only_writer(folder: Path, task: str) -> Iterator[None]:
    """Lock a folder until the end of the block, or of the process, however it ends.

    Args:
        folder: Created if missing.
        task: The task of a process that holds the lock, such as "test", for the error.

    Raises:
        UserError: Another process holds the lock, or the folder is a file.
    """
    check_folder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise UserError(f"{folder}: another {task} is writing to this folder. Wait for its end, or "
                        "choose another folder.") from None
    except OSError:  # a network disk without locks
        pass
    _LOCKS.add(handle)
    try:
        yield
    finally:
        if handle in _LOCKS:  # else this is a forked process
            _LOCKS.remove(handle)
            os.close(handle)


@contextlib.contextmanager
def replacing_together(folder: Path, last: str) -> Iterator[Path]:
    """Provide an empty folder, and move its files to `folder` if no error occurs.

    An error, also while moving, leaves the previous files. If the process is killed while moving,
    `folder` may hold both old and new files.

    Args:
        folder: The target; must exist.
        last: Name of the file to move last; where it is missing, the others do not count.

    Yields:
        A folder inside `folder`; it is removed in every case.
    """
    staging = folder / f"{_STAGING}.{os.getpid()}.tmp"
    shutil.rmtree(staging, ignore_errors=True)
    try:
        staging.mkdir()
        yield staging
        _move_all(sorted(staging.iterdir(), key=lambda file: (file.name == last, file)), folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _move_all(files: list[Path], folder: Path) -> None:
    """Move files to a folder; if one cannot be moved, restore all that were replaced."""
    before = {}
    for file in files:
        target = folder / file.name
        before[target] = file.with_name(f"old {file.name}") if target.exists() else None
        if before[target]:
            shutil.copy2(target, before[target])
    moved = []
    try:
        for file in files:
            os.replace(file, folder / file.name)
            moved.append(folder / file.name)
    except OSError:
        for target in moved:
            if before[target]:
                os.replace(before[target], target)
            else:
                target.unlink()
        raise


def remove_leftovers(folder: Path, pictures: Path | None = None) -> None:
    """Remove temporary files of killed processes; call it while holding the folders' locks.

    Args:
        folder: Folder written by `replacing_together`.
        pictures: Folder of PNGs at any depth.
    """
    for path in folder.glob(f"{_STAGING}.*.tmp"):
        shutil.rmtree(path, ignore_errors=True)
    for path in pictures.rglob(".*.png.*.tmp") if pictures else ():
        path.unlink(missing_ok=True)
