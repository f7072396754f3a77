"""Read the config that a checkpoint carries: parsed as literals, never executed.

It may name only registered types.
"""

import ast
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from rein.checkpoint import load_file, meta_of
from rein.engine.configs.registered_types import registered_types
from rein.errors import UserError, one_line
from rein.paths import find_path


def read_carried_config(path: str) -> Config:
    """Read the config of a checkpoint file without reading its weights.

    Raises:
        UserError: The file carries no config, or one that is not plain data.
    """
    cfg = carried_config(load_file(find_path(path), "meta"), path)  # skips the weights
    if cfg is None:
        raise UserError(
            f"{path}: carries no config. Give one: `python tools/test.py CONFIG {path}`.")
    return cfg


def carried_config(content: Mapping[str, Any], source: str | Path) -> Config | None:
    """Return the config in a checkpoint's `meta`, or None."""
    text = meta_of(content).get("cfg")
    return config_from_text(text, str(source)) if text else None


def config_from_text(text: str, source: str) -> Config:
    """Parse the text of a config as data.

    Args:
        text: Assignments of literals and `dict(...)`, as mmengine writes configs.
        source: The checkpoint, named in messages.

    Raises:
        UserError: The text contains more than literals, or names an unregistered type.
    """
    values = {}
    try:
        for statement in ast.parse(text).body:
            if not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
                raise ValueError(f"line {statement.lineno} is not an assignment")
            values[statement.targets[0].id] = _literal(statement.value)
        values.pop("custom_imports", None)  # only the user decides what to import
        unknown, cfg = sorted(_types(values) - registered_types().keys()), Config(values)
    # TypeError: two lists as keys; the last two: deep nesting
    except (SyntaxError, ValueError, AttributeError, TypeError, KeyError, RecursionError,
            MemoryError) as error:
        raise UserError(
            f"{source}: its embedded config is not plain data ({one_line(error)}). Give a config "
            "file, which takes precedence.") from None
    if unknown:
        raise UserError(f"{source}: its embedded config names {', '.join(unknown[:5])}, which this "
                        "installation does not have. Give a config file, which takes precedence.")
    return cfg


def _literal(node: ast.AST) -> Any:
    """Evaluate literals, containers of literals and calls of `dict`."""
    if isinstance(node, ast.Call):
        if not (isinstance(node.func, ast.Name) and node.func.id == "dict"):
            raise ValueError(f"line {node.lineno} calls a function")
        pairs = [_literal(argument) for argument in node.args]  # dict({...}): for keys with dots
        return dict(*pairs, **{word.arg: _literal(word.value) for word in node.keywords})
    if isinstance(node, ast.Dict):
        return {_literal(k): _literal(v) for k, v in zip(node.keys, node.values, strict=True)}
    if isinstance(node, ast.List):
        return [_literal(item) for item in node.elts]
    if isinstance(node, ast.Tuple):
        return tuple(_literal(item) for item in node.elts)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_literal(node.operand)
    if isinstance(node, ast.Name) and node.id in ("inf", "nan"):  # as Python prints floats
        return getattr(math, node.id)
    return ast.literal_eval(node)


def _types(node: Any) -> set[str]:
    """Collect the values of all `type` keys."""
    if isinstance(node, dict):
        own = {node["type"]} if isinstance(node.get("type"), str) else set()
        # SoMA's published `lora_cfg` has a type that no registry knows
        return own.union(*(_types(value) for key, value in node.items() if key != "lora_cfg"))
    if isinstance(node, list | tuple):
        return set().union(*map(_types, node))
    return set()
