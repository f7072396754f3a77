"""Resolve paths from commands and configs: the working directory first, then the repository."""

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmengine.config import Config

REPOSITORY = Path(__file__).resolve().parents[2]

_PATH_KEYS = ("data_root", "checkpoint", "load_from")


def find_path(path: str | Path) -> str:
    """Return the path in the repository if it exists only there, else the path unchanged."""
    in_repository = REPOSITORY / path
    if not Path(path).exists() and in_repository.exists():
        return str(in_repository)
    return str(path)


def output_path(path: str | Path, *inputs: str | Path) -> Path:
    """Return where to write: in the repository if all inputs are there, else as given.

    A folder of converted data that is apart from its source would hide the source's folder.

    Args:
        path: The output; relative to the working directory, or to the repository.
        inputs: Paths returned by `find_path`.
    """
    there = all(REPOSITORY in Path(source).parents for source in inputs)
    return REPOSITORY / path if there else Path(path)


def resolve_paths(cfg: "Config") -> "Config":
    """Return a copy of a config with dataset and weight paths resolved by `find_path`."""
    def resolve(node: Any) -> None:
        items = node.items() if isinstance(node, dict) else enumerate(node)
        for key, value in list(items):
            if key in _PATH_KEYS and isinstance(value, str) and "://" not in value:
                node[key] = find_path(value)
            elif isinstance(value, dict | list):
                resolve(value)

    cfg = copy.deepcopy(cfg)
    resolve(cfg._cfg_dict)
    return cfg
