"""Decide what a run resumes from, and refuse runs that would not continue it as it began."""

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from rein.checkpoint import TRAINING_STATE, load_file, meta_of
from rein.engine.configs.carried import carried_config
from rein.engine.training.recipes import list_changes
from rein.engine.training.saving import latest_checkpoint, list_results
from rein.errors import UserError
from rein.paths import find_path

_SHOWN = 5  # changes in one message


def find_resumed(cfg: Config, resume: str | None) -> str | None:
    """Return the path of the checkpoint to resume from, or None for a new run.

    Args:
        cfg: The config with its `work_dir`. If it sets `resume` itself, it continues from
            `load_from`, else from the latest checkpoint if there is one.
        resume: A checkpoint, or "auto" for the latest in the work dir.

    Raises:
        UserError: There is none in the work dir.
    """
    if resume is None and cfg.get("resume"):
        return cfg.get("load_from") or latest_checkpoint(cfg.work_dir)
    if resume != "auto":
        return resume
    found = latest_checkpoint(cfg.work_dir)
    if found is None:
        raise UserError(f"{cfg.work_dir}: no whole checkpoint to resume from. Name one, remove "
                        "--resume, or set --work-dir to that of the run.")
    return found


def check_unused(work_dir: str, resumed: str | None) -> None:
    """Check that a new run would not overwrite another one's checkpoints.

    Raises:
        UserError: The work dir has checkpoints, and `resumed` is not among them.
    """
    others = list_results(work_dir)
    if others and not is_in(resumed, work_dir):
        raise UserError(
            f"{work_dir}: already holds {others[0].name} of an earlier run. Continue that run with "
            "--resume, choose another --work-dir, or delete its checkpoints with --force.")


def is_in(resumed: str | None, work_dir: str) -> bool:
    """Tell whether the resumed checkpoint is one of the work dir."""
    return bool(resumed) and Path(find_path(resumed)).resolve().parent == Path(work_dir).resolve()


def adopt_seed(cfg: Config, resumed: str) -> None:
    """Give a config without a seed that of the resumed run.

    Raises:
        UserError: The config has another seed; data and loss points would be those of two runs.
    """
    seed = meta_of(load_file(find_path(resumed), "meta")).get("seed")
    given = (cfg.get("randomness") or {}).get("seed")
    if seed is None or seed == given:
        return
    if given is not None:
        raise UserError(
            f"{resumed}: the run's seed is {seed}, but randomness.seed is {given}. Resume with "
            f"`--cfg-options randomness.seed={seed}`, or start a new run from its weights with "
            f"`--cfg-options load_from={resumed}`.")
    cfg.randomness = dict(cfg.get("randomness") or {}, seed=seed)


def adopt_start(cfg: Config, resumed: str) -> None:
    """Let a config load the resumed checkpoint, and keep the file that the run started from.

    `started_from` becomes the resumed run's, or the config's own if its checkpoint has no config.
    """
    start, saved = started_from(cfg), _config_of(resumed)
    # runs that were resumed by an earlier version did not keep it
    if saved is not None and ("started_from" in saved or not saved.get("resume")):
        start = started_from(saved)
    cfg.started_from, cfg.load_from = start, resumed


def check_unchanged(cfg: Config, resumed: str) -> None:
    """Check that a config would train on as the resumed run began; see `list_changes`.

    The restored optimizer and schedules would ignore some changes, and records would name all.

    Raises:
        UserError: It differs from the config in the checkpoint.
    """
    saved = _config_of(resumed)
    changes = [] if saved is None else list_changes(saved, cfg)
    if changes:
        more = f"; and {len(changes) - _SHOWN} more" if len(changes) > _SHOWN else ""
        raise UserError(
            f"{resumed}: the run began with other settings: {'; '.join(changes[:_SHOWN])}{more}. "
            "Resume with those it began with, or start a new run from its weights with "
            f"`--cfg-options load_from={resumed}`.")


def _config_of(resumed: str) -> Config | None:
    """Read the config in a checkpoint; None if it has none, or types that exist only elsewhere."""
    with contextlib.suppress(UserError):
        return carried_config(load_file(find_path(resumed), "meta"), resumed)
    return None


def started_from(cfg: Config) -> str | None:
    """Return the file whose weights a run began with, also if it was resumed; None without."""
    return cfg.get("started_from" if cfg.get("resume") else "load_from")


def check_resumable(content: Mapping[str, Any], filename: str, schedulers: Sequence | None) -> None:
    """Check that a file has the state to continue a run, with the same schedule.

    Args:
        content: Content of the checkpoint.
        filename: The checkpoint, named in messages.
        schedulers: mmengine's schedulers of this run, as built from its config; None without.

    Raises:
        UserError: It has not.
    """
    needed = TRAINING_STATE if schedulers is None else TRAINING_STATE | {"param_schedulers"}
    missing = needed - content.keys()
    if missing:
        raise UserError(
            f"{filename}: cannot resume from it, because it has no "
            f"{', '.join(sorted(missing))}. To start from its weights, use "
            f"`--cfg-options load_from={filename}`.")
    saved = content.get("param_schedulers", [])
    if isinstance(saved, Mapping) or isinstance(schedulers, Mapping):  # of several optimizers
        return
    before, now = _spans(saved), _spans([one.state_dict() for one in schedulers or []])
    if before != now:
        raise UserError(
            f"{filename}: the run's learning rate changes during {before or 'no'} iterations or "
            f"epochs, but that of param_scheduler during {now or 'none'}. Restore param_scheduler, "
            f"or start a new run from its weights with `--cfg-options load_from={filename}`.")


def _spans(states: Sequence[Mapping[str, Any]]) -> str:
    """Write the spans of schedules as text, such as "0-30, 30-600"."""
    return ", ".join(f"{state.get('begin')}-{state.get('end')}" for state in states)
