"""Save checkpoints so that the last whole one always survives, and find it again.

Source: mmengine's `CheckpointHook`, which removes an old checkpoint before the new one is written.
"""

import contextlib
import os
import re
import zipfile
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from mmengine.dist import is_main_process
from mmengine.hooks import CheckpointHook

from rein.atomic_files import remove_stale, write_atomically
from rein.errors import UserError

LAST_CHECKPOINT = "last_checkpoint"
"""File in a work dir with the path of its last checkpoint, relative to the work dir."""

_NAME = re.compile(r"(?:iter|epoch)_(\d+)\.pth")


def list_checkpoints(work_dir: str | Path) -> list[Path]:
    """List the training checkpoints in a folder, newest first."""
    numbers = {path: int(match[1]) for path in Path(work_dir).glob("*_*.pth")
               if (match := _NAME.fullmatch(path.name))}
    return sorted(numbers, key=numbers.get, reverse=True)


def list_results(work_dir: str | Path) -> list[Path]:
    """List all that a run saved in a folder: its checkpoints, newest first, and its best ones."""
    return [*list_checkpoints(work_dir), *sorted(Path(work_dir).glob("best_*.pth"))]


def is_whole(path: Path) -> bool:
    """Tell whether a checkpoint is complete and undamaged, by its checksums."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except Exception:  # damaged archives fail in many ways
        return False


def latest_checkpoint(work_dir: str | Path) -> str | None:
    """Return the newest whole checkpoint of a run, or None.

    The file `last_checkpoint` names it. If that is missing, empty or names a damaged file, it is
    the whole `iter_N.pth` or `epoch_N.pth` of the largest N.
    """
    work_dir = Path(work_dir)
    candidates = list_checkpoints(work_dir)
    with contextlib.suppress(OSError, ValueError):
        named = (work_dir / LAST_CHECKPOINT).read_text().strip()
        if named:
            # by its name first: a moved or copied work dir may hold a path to the old place
            candidates[:0] = [work_dir / Path(named).name, work_dir / named]
    return next((str(path) for path in candidates if is_whole(path)), None)


class SafeCheckpointHook(CheckpointHook):
    """mmengine's hook; removes old checkpoints only after the new one is whole.

    `last_checkpoint` is written atomically and relative to the work dir.

    Args:
        **kwargs: As for mmengine's `CheckpointHook`.
    """

    def before_train(self, runner) -> None:
        """Set up as mmengine does; remove temporary files of killed runs, and replaced runs."""
        super().before_train(runner)
        if is_main_process() and os.path.isdir(self.out_dir):
            remove_stale(Path(self.out_dir))
            if runner.replaces_earlier_run:  # not before: until now, data could be missing
                Path(runner.work_dir, LAST_CHECKPOINT).unlink(missing_ok=True)
                for path in list_results(self.out_dir):
                    path.unlink()
        # a moved or copied work dir must not touch the files of the old place
        if getattr(self, "best_ckpt_path", None):
            self.best_ckpt_path = self._here(self.best_ckpt_path)
        for key, path in getattr(self, "best_ckpt_path_dict", {}).items():
            self.best_ckpt_path_dict[key] = path and self._here(path)

    def _here(self, path: str) -> str:
        return self.file_backend.join_path(self.out_dir, os.path.basename(path))

    def _save_checkpoint_with_step(self, runner, step: int, meta: dict) -> None:
        """Save, then point `last_checkpoint` to the file, then remove outdated files."""
        outdated = []
        if self.max_keep_ckpts > 0 and step not in list(self.keep_ckpt_ids)[-1:]:
            ids = [*self.keep_ckpt_ids, step]
            outdated = ids[:-self.max_keep_ckpts]
            self.keep_ckpt_ids = deque(ids, self.max_keep_ckpts)
            # with the outdated ones: resuming removes what a killed run could not
            runner.message_hub.update_info("keep_ckpt_ids", ids)
        name = self.filename_tmpl.format(step)
        self.last_ckpt = self.file_backend.join_path(self.out_dir, name)
        runner.message_hub.update_info("last_ckpt", self.last_ckpt)
        runner.save_checkpoint(
            self.out_dir, name, self.file_client_args, save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler, meta=meta, by_epoch=self.by_epoch,
            backend_args=self.backend_args, **self.args)
        if is_main_process():
            write_atomically(Path(runner.work_dir, LAST_CHECKPOINT), self._named_in(runner))
            for old in outdated:
                self._remove(self._here(self.filename_tmpl.format(old)))

    def _named_in(self, runner) -> str:
        """Return the last checkpoint's path from the work dir, unless it is on another storage."""
        if "://" in self.last_ckpt:
            return self.last_ckpt
        return os.path.relpath(self.last_ckpt, runner.work_dir)

    def _remove(self, path: str) -> None:
        if self.file_backend.isfile(path):
            self.file_backend.remove(path)
        elif self.file_backend.isdir(path):  # deepspeed saves folders
            self.file_backend.rmtree(path)

    def _save_best_checkpoint(self, runner, metrics: dict) -> None:
        """Save a new best checkpoint, then remove the old one.

        Raises:
            UserError: Validation does not give the measure that `save_best` names.
        """
        missing = {*getattr(self, "key_indicators", ())} - {*metrics, "auto"}
        if missing:
            raise UserError(
                f"default_hooks.checkpoint.save_best: validation gives no {min(missing)!r}, but "
                f"{', '.join(sorted(metrics))}. Name one of them, and continue with --resume.")
        with self._removing_afterwards():
            super()._save_best_checkpoint(runner, metrics)

    @contextlib.contextmanager
    def _removing_afterwards(self) -> Iterator[None]:
        """Postpone the removal of files until no error occurred."""
        backend, outdated = self.file_backend, []
        self.file_backend = _Postponed(backend, outdated)
        try:
            yield
        finally:
            self.file_backend = backend
        best = {getattr(self, "best_ckpt_path", None),
                *getattr(self, "best_ckpt_path_dict", {}).values()}
        for path in outdated:
            if path not in best:
                self._remove(path)


class _Postponed:
    """A file backend whose removals are only noted."""

    def __init__(self, backend, outdated: list[str]):
        self._backend = backend
        self.remove = self.rmtree = outdated.append

    def __getattr__(self, name: str):
        return getattr(self._backend, name)
