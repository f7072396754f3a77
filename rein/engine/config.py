"""Configs: files of the user's, which run as mmengine defines, and texts from checkpoints.

A text that a checkpoint carries is data: it is parsed as literals, never run, and may only name
types that are registered.
"""

import ast
import contextlib
import copy
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import Registry
from mmengine.registry import root as root_registries

from rein.datasets.dataset_configs import leaf_datasets
from rein.datasets.label_maps import CLASSES
from rein.errors import UserError

REPOSITORY = Path(__file__).resolve().parents[2]

_PATH_KEYS = ("data_root", "checkpoint", "load_from")
_CITYSCAPES_CLASSES_BY_DEFAULT = ("UrbanSceneDataset", "CityscapesDataset")


def load_config(path: str | Path) -> Config:
    """Read a config file.

    Args:
        path: A config file, looked for in the working directory, then in the repository.

    Raises:
        UserError: The file does not exist or is no config.
    """
    found = find_path(path)
    if not Path(found).is_file():
        close = sorted((REPOSITORY / "configs").rglob(f"*{Path(path).stem[:12]}*.py"))
        hint = ", ".join(str(p.relative_to(REPOSITORY)) for p in close[:3])
        raise UserError(f"{path}: no such config. " + (
            f"Similar: {hint}." if hint else "The configs are in configs/."))
    try:
        cfg = Config.fromfile(found)
    except Exception as error:
        raise UserError(f"{path}: not a valid config: {error}") from None
    return cfg


def parse_options(options: list[str]) -> dict[str, Any]:
    """Parse KEY=VALUE arguments; values are Python literals, or else strings.

    Raises:
        UserError: An argument has no "=".
    """
    parsed = {}
    for option in options:
        key, separator, text = option.partition("=")
        if not separator:
            raise UserError(f"--cfg-options {option}: expected KEY=VALUE.")
        try:
            parsed[key] = ast.literal_eval(text)
        except (SyntaxError, ValueError):
            words = {"true": True, "false": False, "none": None}
            parsed[key] = words.get(text.lower(), text)
    return parsed


def merge_options(cfg: Config, options: dict[str, Any]) -> None:
    """Override values of a config in place; keys are dotted.

    Raises:
        UserError: A key leads into something that is no dict or list.
    """
    try:
        cfg.merge_from_dict(options)
    except (KeyError, TypeError, AssertionError, IndexError) as error:
        raise UserError(f"--cfg-options: {error}") from None


def find_path(path: str | Path) -> str:
    """Return a path as it is if it exists or is absolute, else the repository's, if that exists."""
    in_repository = REPOSITORY / path
    if not Path(path).exists() and in_repository.exists():
        return str(in_repository)
    return str(path)


def resolve_paths(cfg: Config) -> Config:
    """Return a copy of a config whose dataset and weight paths are found by `find_path`."""
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


def check_classes(cfg: Config) -> None:
    """Compare the head's number of classes with the class list of each dataset.

    Raises:
        UserError: They differ; training would fail with an index out of range, or worse would not.
    """
    model = cfg.model.get("module", cfg.model)  # a model for test-time augmentation wraps another
    head = model.get("decode_head")
    expected = head.get("num_classes") if isinstance(head, Mapping) else None
    for name in ("train_dataloader", "val_dataloader", "test_dataloader"):
        for dataset in leaf_datasets((cfg.get(name) or {}).get("dataset") or {}):
            classes = (dataset.get("metainfo") or {}).get("classes")
            if classes is None and dataset.get("type") in _CITYSCAPES_CLASSES_BY_DEFAULT:
                classes = CLASSES
            if expected and classes is not None and len(classes) != expected:
                raise UserError(
                    f"{name}: the dataset {dataset.get('data_root')} has {len(classes)} classes, "
                    f"but model.decode_head.num_classes is {expected}. Give both the same list, as "
                    "configs/own_data does.")


def config_from_text(text: str, source: str) -> Config:
    """Read the config that a checkpoint carries, as data.

    Args:
        text: Assignments of literals and `dict(...)`, as mmengine writes configs.
        source: The checkpoint, for messages.

    Raises:
        UserError: The text holds anything but literals, or names a type that is not registered.
    """
    values = {}
    try:
        for statement in ast.parse(text).body:
            if not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
                raise ValueError(f"line {statement.lineno} is no assignment")
            values[statement.targets[0].id] = _literal(statement.value)
    except (SyntaxError, ValueError, AttributeError) as error:
        raise UserError(f"{source}: the config it carries is not plain data ({error}); give a "
                        "config file instead.") from None
    values.pop("custom_imports", None)  # imports are the user's to decide
    unknown = sorted(_types(values) - _registered_types())
    if unknown:
        raise UserError(f"{source}: the config it carries names {', '.join(unknown[:5])}, which "
                        "this installation does not have; give a config file instead.")
    return Config(values)


def _literal(node: ast.AST) -> Any:
    """Evaluate literals, containers of them and calls of `dict`."""
    if isinstance(node, ast.Call):
        if not (isinstance(node.func, ast.Name) and node.func.id == "dict"):
            raise ValueError(f"line {node.lineno} calls a function")
        pairs = [_literal(argument) for argument in node.args]  # dict({...}): keys with dots
        return dict(*pairs, **{word.arg: _literal(word.value) for word in node.keywords})
    if isinstance(node, ast.Dict):
        return {_literal(k): _literal(v) for k, v in zip(node.keys, node.values, strict=True)}
    if isinstance(node, ast.List):
        return [_literal(item) for item in node.elts]
    if isinstance(node, ast.Tuple):
        return tuple(_literal(item) for item in node.elts)
    return ast.literal_eval(node)


def _types(node: Any) -> set[str]:
    """Collect what every `type` key names."""
    if isinstance(node, dict):
        own = {node["type"]} if isinstance(node.get("type"), str) else set()
        return own.union(*map(_types, node.values()))
    if isinstance(node, list | tuple):
        return set().union(*map(_types, node))
    return set()


def _registered_types() -> set[str]:
    """Collect the names in every registry, plain and with their library's scope."""
    names = set()
    pending = [r for r in vars(root_registries).values() if isinstance(r, Registry)]
    while pending:
        registry = pending.pop()
        with contextlib.redirect_stdout(io.StringIO()):  # mmdet prints what it lacks
            registry.import_from_location()
        names.update(registry.module_dict)
        names.update(f"{registry.scope}.{name}" for name in registry.module_dict)
        pending.extend(registry.children.values())
    return names
