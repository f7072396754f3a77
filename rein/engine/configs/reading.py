"""Read config files, which are executed as in mmengine, and override their values."""

import ast
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from rein.engine.registration import register_all_modules
from rein.errors import UserError, one_line
from rein.paths import find_config, move_data

_CHECKPOINT_SUFFIXES = (".pth", ".pt", ".safetensors")


def load_config(
    path: str | Path, overrides: Sequence[str] = (), data: str | None = None,
) -> Config:
    """Read a config file and register all types that it may name.

    Args:
        path: A config file, relative to the working directory or else the repository, or the name
            of one in `configs`, as for `find_config`.
        overrides: `KEY=VALUE`; dots in KEY select nested values, and VALUE is a Python literal or
            else a string.
        data: Folder of all datasets, in place of the config's `data`.

    Raises:
        UserError: The file does not exist or is not a config, or an override or `data` does not
            fit it.
    """
    found = find_config(path)
    try:
        cfg = Config.fromfile(found)
    except Exception as error:
        raise UserError(f"{path}: not a valid config: {one_line(error, 400)}") from None
    _override(cfg, overrides, data)
    register_all_modules(init_default_scope=False)  # after the checks, because it takes seconds
    return cfg


def read_config(
    path: str | Path, overrides: Sequence[str] = (), data: str | None = None,
) -> Config:
    """Read a config file as `load_config` does, or the config carried by a checkpoint.

    Raises:
        UserError: There is no valid config, or an override does not fit it.
    """
    if Path(path).suffix not in _CHECKPOINT_SUFFIXES:
        return load_config(path, overrides, data)
    from rein.engine.configs.carried import read_carried_config  # imports torch

    cfg = read_carried_config(str(path))
    _override(cfg, overrides, data)
    return cfg


def _override(cfg: Config, overrides: Sequence[str], data: str | None) -> None:
    """Move a config's datasets to `data`, then merge KEY=VALUE overrides into it, in place."""
    from rein.engine.configs.checking import check_override  # imports torch

    if data is not None:
        move_data(cfg, data)
    values = {}
    for override in overrides:
        key, separator, text = override.partition("=")
        if not separator:
            raise UserError(f"--cfg-options {override}: expected KEY=VALUE.")
        check_override(key, cfg)
        values[key] = _value(text)
    try:
        cfg.merge_from_dict(values)
    except (KeyError, TypeError, AssertionError, IndexError) as error:
        raise UserError(f"--cfg-options: {error}") from None


def _value(text: str) -> Any:
    """Parse a Python literal, true, false or none; return anything else as a string."""
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return {"true": True, "false": False, "none": None}.get(text.lower(), text)
