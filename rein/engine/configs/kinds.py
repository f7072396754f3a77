"""Check the kinds of a config's values (numbers, text, dicts, lists) before anything is built.

Annotations decide for the arguments of types, the tables below for all other keys.
"""

import difflib
import functools
import inspect
import math
import numbers
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from mmengine.runner import Priority
from torch import Tensor

from rein.engine.configs.registered_types import RegisteredType
from rein.errors import UserError

_NUMBER, _BOOL, _TEXT = "a number", "True or False", "text"
_DICT, _LIST, _NONE = "a dict", "a list", "None"
_SECTIONS = {
    (_DICT,): ["model", "env_cfg", "env_cfg.mp_cfg", "env_cfg.dist_cfg", "randomness",
               "optim_wrapper.optimizer", "optim_wrapper.paramwise_cfg.custom_keys",
               "custom_imports"],
    (_DICT, _NONE): [
        "optim_wrapper", "optim_wrapper.paramwise_cfg", "optim_wrapper.clip_grad", "train_cfg",
        "val_cfg", "test_cfg", "default_hooks", "log_processor", "visualizer", "auto_scale_lr",
        "model_wrapper_cfg", "tta_model", "protocols", "model.data_preprocessor",
        "model.test_cfg", "model.train_cfg"],
    (_LIST, _NONE): ["custom_hooks", "visualizer.vis_backends", "tta_pipeline"],
    (_DICT, _LIST, _NONE): ["param_scheduler", "val_evaluator", "test_evaluator"],
    (_TEXT, _NONE): ["load_from", "experiment_name", "work_dir", "default_scope", "data_folder",
                     "started_from",
                     "env_cfg.mp_cfg.mp_start_method", "env_cfg.dist_cfg.backend"],
    (_BOOL, _NONE): [
        "resume", "find_unused_parameters", "skip_non_finite_losses", "env_cfg.cudnn_benchmark",
        "randomness.deterministic", "randomness.diff_rank_seed"],
    (_NUMBER, _NONE): ["env_cfg.resource_limit", "env_cfg.mp_cfg.opencv_num_threads"],
    (_BOOL, _DICT, _NONE): ["compile"],
    (_NUMBER, _TEXT): ["log_level"],
}
_TYPED = ("custom_hooks", "visualizer", "visualizer.vis_backends", "param_scheduler",
          "val_evaluator", "test_evaluator", "optim_wrapper.optimizer", "model",
          "model.data_preprocessor", "tta_model")
_SIZE = "two whole numbers from 1 on, (height, width)"
_PRIORITIES = [priority.name for priority in Priority]
_SLOTS = ("runtime_info", "timer", "sampler_seed", "logger", "param_scheduler", "checkpoint",
          "visualization")


def check_kinds(cfg: Mapping[str, Any]) -> None:
    """Check the kinds of sections, and those values that no type's constructor checks.

    Raises:
        UserError: A section is no dict or list although it has to be, a part has no type, or a
            number is out of range.
    """
    for kinds, paths in _SECTIONS.items():
        for path in paths:
            for value in _values(cfg, path):
                _expect(path, value, kinds)
    for path in _TYPED:
        for value in _values(cfg, path):
            _check_typed(path, value)
    for slot, hook in (cfg.get("default_hooks") or {}).items():
        near = difflib.get_close_matches(slot, _SLOTS, n=1, cutoff=0.8)
        if near and slot not in _SLOTS:
            raise UserError(f"default_hooks has no hook {slot!r}. Did you mean {near[0]!r}?")
        if hook is not None:
            _check_typed(f"default_hooks.{slot}", hook)
    for rule in _rules(cfg):
        if not rule.holds:
            raise UserError(f"{rule.path}: expected {rule.expected}, found {rule.value!r:.100}.")


def check_arguments(
    path: str, node: Mapping[str, Any], builds: Sequence[RegisteredType],
) -> None:
    """Check the kinds of a type's arguments by their annotations.

    Args:
        path: Dotted name of the node, for messages.
        node: The type and its arguments.
        builds: The types of this name.

    Raises:
        UserError: No type of this name takes a value of this kind.
    """
    for key, value in node.items():
        kinds = [_argument_kinds(build.build).get(key) for build in builds]
        if kinds and all(kinds):
            _expect(f"{path}.{key} ({node['type']})", value, dict.fromkeys(sum(kinds, ())))


def _values(cfg: Mapping[str, Any], path: str) -> Iterator[Any]:
    """Yield the value at a dotted path, if it is set; `model` may be wrapped."""
    *parents, last = path.split(".")
    node = cfg
    for parent in parents:
        node = node.get(parent)
        if not isinstance(node, Mapping):
            return
        node = node.get("module", node) if parent == "model" else node
    if isinstance(node, Mapping) and last in node:
        yield node[last]


def _expect(path: str, value: Any, kinds: Sequence[str]) -> None:
    """Raise if a value is of another kind than expected; numbers and bools are alike."""
    kind = _kind(value)
    known = {_NUMBER if kind == _BOOL else kind for kind in kinds}
    if kind is not None and kind not in known:
        raise UserError(f"{path}: expected {' or '.join(kinds)}, found {value!r:.100}.")


def _kind(value: Any) -> str | None:
    for kind, classes in ((_NUMBER, numbers.Number), (_TEXT, str), (_DICT, Mapping),
                          (_LIST, (list, tuple)), (_NONE, type(None))):
        if isinstance(value, classes):
            return kind
    return None  # an object, such as a class given as `type`


def _check_typed(path: str, value: Any) -> None:
    """Raise if a part, or one of a list, is no dict with a type."""
    parts = enumerate(value) if _kind(value) == _LIST else [(None, value)]
    for number, part in parts:
        name = path if number is None else f"{path}[{number}]"
        if part is None and number is None:
            continue
        _expect(name, part, (_DICT,))
        if isinstance(part, Mapping) and not part.get("type"):
            raise UserError(f"{name}: has no type. Set it, as the configs in configs/ do.")


class _Rule(NamedTuple):
    """A value with what is expected of it."""

    path: str
    value: Any
    expected: str
    holds: bool


def _rules(cfg: Mapping[str, Any]) -> Iterator[_Rule]:
    """Yield the rules for values that no constructor checks, or whose kind is not enough."""
    seed = (cfg.get("randomness") or {}).get("seed")
    yield _Rule("randomness.seed", seed, "a whole number from 0 to 2**32 - 1",
                seed is None or _is_whole(seed) and 0 <= seed < 2**32)
    checkpoint = (cfg.get("default_hooks") or {}).get("checkpoint") or {}
    interval = checkpoint.get("interval", -1)
    yield _Rule("default_hooks.checkpoint.interval", interval,
                "a whole number from 1 on, or -1 to save only the last checkpoint",
                interval == -1 or _is_count(interval))
    hooks = {f"custom_hooks[{i}]": hook for i, hook in enumerate(cfg.get("custom_hooks") or ())}
    hooks |= {f"default_hooks.{name}": hook
              for name, hook in (cfg.get("default_hooks") or {}).items()}
    for path, hook in hooks.items():
        given = hook.get("priority", "NORMAL") if isinstance(hook, Mapping) else "NORMAL"
        yield _Rule(f"{path}.priority", given, f"0 to 100, or one of {', '.join(_PRIORITIES)}",
                    str(given).upper() in _PRIORITIES or _is_whole(given) and 0 <= given <= 100
                    or isinstance(given, Priority))
    for preprocessor in _values(cfg, "model.data_preprocessor"):
        std, size = ((preprocessor or {}).get(key) for key in ("std", "size"))
        yield _Rule("model.data_preprocessor.size", size, _SIZE, size is None or _is_size(size))
        yield _Rule("model.data_preprocessor.std", std, "numbers above 0", std is None or (
            _kind(std) == _LIST and all(map(_is_positive, std))))
    window = (cfg.get("log_processor") or {}).get("window_size", 1)
    yield _Rule("log_processor.window_size", window, "a whole number from 1 on", _is_count(window))
    schedulers = cfg.get("param_scheduler") or ()
    for scheduler in [schedulers] if isinstance(schedulers, Mapping) else schedulers:
        begin = scheduler.get("begin", 0)
        yield _Rule("param_scheduler.begin", begin, "a whole number from 0 on",
                    begin == 0 or _is_count(begin))
    yield from _optimizer_rules(cfg.get("optim_wrapper") or {})
    for test_cfg in _values(cfg, "model.test_cfg"):
        yield from _window_rules(test_cfg or {})


def _optimizer_rules(wrapper: Mapping[str, Any]) -> Iterator[_Rule]:
    """Yield the rules for numbers with which an optimizer would silently not learn."""
    path = "optim_wrapper"
    steps = wrapper.get("accumulative_counts", 1)
    yield _Rule(f"{path}.accumulative_counts", steps, "a whole number from 1 on", _is_count(steps))
    clip = wrapper.get("clip_grad") or {}
    kind = clip.get("type", "norm")
    yield _Rule(f"{path}.clip_grad.type", kind, "'norm' or 'value'", kind in ("norm", "value"))
    for key in {"max_norm", "clip_value"} & clip.keys():
        yield _Rule(f"{path}.clip_grad.{key}", clip[key], "a number above 0",
                    _is_positive(clip[key]))
    paramwise = wrapper.get("paramwise_cfg") or {}
    nodes = {f"{path}.paramwise_cfg": paramwise}
    for name, rule in (paramwise.get("custom_keys") or {}).items():
        name = f"{path}.paramwise_cfg.custom_keys[{name!r}]"
        _expect(name, rule, (_DICT,))
        nodes[name] = rule
    for name, node in nodes.items():
        for key, value in node.items():
            if key.endswith("_mult"):
                yield _Rule(f"{name}.{key}", value, "a number from 0 on",
                            _is_positive(value) or value == 0)


def _window_rules(test_cfg: Mapping[str, Any]) -> Iterator[_Rule]:
    """Yield the rules for sliding windows, which would leave gaps or have no size."""
    path = "model.test_cfg"
    mode, batch = test_cfg.get("mode", "whole"), test_cfg.get("window_batch", 1)
    yield _Rule(f"{path}.mode", mode, "'slide' or 'whole'", mode in ("slide", "whole"))
    yield _Rule(f"{path}.window_batch", batch, "a whole number from 1 on", _is_count(batch))
    if mode != "slide":
        return
    pairs = [test_cfg.get(key) for key in ("crop_size", "stride")]
    if pairs == [None, None]:  # `--mode slide` sets both
        return
    for key, pair in zip(("crop_size", "stride"), pairs, strict=True):
        yield _Rule(f"{path}.{key}", pair, _SIZE, _is_size(pair))
    yield _Rule(f"{path}.stride", pairs[1], f"at most the crop_size, {pairs[0]}",
                all(step <= side for side, step in zip(*pairs, strict=True)))


def _is_size(value: Any) -> bool:
    return _kind(value) == _LIST and len(value) == 2 and all(map(_is_count, value))


def _is_count(value: Any) -> bool:
    return _is_whole(value) and value >= 1


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_positive(value: Any) -> bool:
    return isinstance(value, int | float) and value > 0 and not math.isnan(value)


@functools.cache
def _argument_kinds(build: Callable) -> dict[str, tuple[str, ...]]:
    """Collect the kinds of a type's arguments; those without a plain annotation are left out."""
    found = {}
    bases = reversed(build.__mro__) if inspect.isclass(build) else [build]
    for base in bases:
        function = vars(base).get("__init__") if inspect.isclass(base) else base
        try:
            hints = typing.get_type_hints(function)
            parameters = inspect.signature(function).parameters
        except (TypeError, ValueError, NameError):  # not a Python function, or names of its file
            continue
        for name, parameter in parameters.items():
            found[name] = _kinds_of(hints.get(name), parameter.default)
    return {name: kinds for name, kinds in found.items() if kinds}


def _kinds_of(hint: Any, default: Any) -> tuple[str, ...]:
    """Return the kinds that an annotation names; () if it is no plain one."""
    is_union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    kinds = []
    for member in typing.get_args(hint) if is_union else [hint]:
        member = typing.get_origin(member) or member
        if member is Tensor:
            continue
        if not inspect.isclass(member):
            return ()
        kind = next((kind for kind, base in (
            (_BOOL, bool), (_NUMBER, numbers.Number), (_TEXT, str), (_DICT, Mapping),
            (_LIST, Sequence), (_NONE, type(None))) if issubclass(member, base)), None)
        if kind is None:
            return ()
        # annotations often say dict for a list of them
        kinds += [_DICT, _LIST] if kind in (_DICT, _LIST) else [kind]
    if default is not inspect.Parameter.empty and _kind(default):
        # annotations often leave out None
        kinds.append(_BOOL if isinstance(default, bool) else _kind(default))
    return tuple(dict.fromkeys(kinds))
