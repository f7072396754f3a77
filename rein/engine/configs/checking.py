"""Check a config before anything is built from it: sections, types and the keys that types take.

Signatures decide which keys a type takes, so that new types need no change here. Helper variables
of a config (`crop_size`, `num_classes`, ...) are allowed; only names close to a section's are
taken for typing errors.
"""

import difflib
import functools
import inspect
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import init_dist
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from rein.engine.configs.kinds import check_arguments, check_kinds
from rein.engine.configs.registered_types import RegisteredType, registered_types
from rein.errors import UserError
from rein.models.arguments import known_arguments, refuse_unknown

_RUNNER = set(inspect.signature(Runner.__init__).parameters) - {"self", "cfg"}
_OTHER_SECTIONS = {"compile", "tta_model", "tta_pipeline", "protocols", "model_wrapper_cfg",
                   "calibration_dataloader", "data_folder", "find_unused_parameters",
                   "skip_non_finite_losses", "started_from"}
SECTIONS = _RUNNER | _OTHER_SECTIONS | {"custom_imports"}
"""Top-level keys that something reads."""

_LOADERS = "train_dataloader", "val_dataloader", "test_dataloader", "calibration_dataloader"
_LOADER_KEYS = set(inspect.signature(DataLoader.__init__).parameters) - {"self"} | {
    "num_batch_per_epoch", "disable_subprocess_warning"}
_MULTIPLIERS = "lr_mult", "decay_mult"
_PARAMWISE_KEYS = {
    "custom_keys", "bias_lr_mult", "bias_decay_mult", "norm_decay_mult", "dwconv_decay_mult",
    "flat_decay_mult", "dcn_offset_lr_mult", "bypass_duplicate"}
_CONSTRUCTORS = "DefaultOptimWrapperConstructor", "PEFTOptimWrapperConstructor"
_SEGMENTORS = "EncoderDecoder", "FrozenBackboneEncoderDecoder"
_MASK2FORMER_TRAIN_KEYS = {
    "num_points", "oversample_ratio", "importance_sample_ratio", "assigner", "sampler"}

_USUAL_TYPES = {
    "optim_wrapper": "OptimWrapper", "log_processor": "LogProcessor", "val_cfg": "ValLoop",
    "test_cfg": "TestLoop"}
"""Sections that need no type -> the type that they have by default."""

_READ_ELSEWHERE = {  # registry -> keys that its user takes out before building
    "hook": {"priority"},
    "parameter scheduler": {"convert_to_iter_based"},
    "loop": {"by_epoch"},
    "optim_wrapper": {"constructor", "paramwise_cfg", "optimizer"},
    "data sampler": {"weights"},  # of `rein.engine.training.seeding.SeededSampler`
}
_FORWARDING = {  # type -> the key naming the type that takes its other arguments, and the default
    "RandomChoiceResize": ("resize_type", "Resize"),
    "RandomResize": ("resize_type", "Resize"),
    "EMAHook": ("ema_type", "ExponentialMovingAverage"),
}
_LIBRARIES = {"mmengine", "mmcv", "mmseg", "mmdet", "rein", "torch"}
_BUILT_BY_MMCV = ("norm_cfg", "act_cfg", "conv_cfg", "upsample_cfg", "init_cfg")


def check_config(cfg: Config) -> None:
    """Check a whole config.

    Raises:
        UserError: A key or type is misspelt or unknown, or a section has a value that cannot work.
    """
    for name in cfg:
        _check_section_name(name)
    if cfg.get("model") is None:
        raise UserError(
            f"{cfg.filename or 'the config'}: sets no model. It is a part of a config, such as a "
            "`_base_` file, or no config at all; give a whole one, such as those in configs/.")
    check_kinds({name: cfg.get(name) for name in cfg})
    for name in _LOADERS:
        if cfg.get(name) is not None:
            _check_loader(name, cfg[name])
    _check_lengths(cfg)
    _check_keys_without_type(cfg)
    sections = {name: cfg.get(name) for name in SECTIONS - {"custom_imports", "protocols"}}
    for name, usual in _USUAL_TYPES.items():
        if _mapping(sections[name]) and (name != "optim_wrapper" or "optimizer" in cfg[name]):
            sections[name] = {"type": usual, **sections[name]}
    check_types(sections)
    _check_multiplied(cfg.get("optim_wrapper"))


def check_override(key: str, cfg: Mapping[str, Any]) -> None:
    """Check the first part of a dotted key that overrides a config's value.

    Raises:
        UserError: Neither the config nor anything that reads configs has a section of this name.
    """
    section = key.split(".")[0]
    refuse_unknown("--cfg-options: the config", [section], {*cfg, *SECTIONS}, what="key")


def check_types(node: Any, path: str = "") -> None:
    """Check all types below a node of a config, and the keys that they take.

    Args:
        node: A value of a config.
        path: Its dotted name, for messages; "" for the whole config.

    Raises:
        UserError: A type does not exist, or does not take one of its keys.
    """
    known = registered_types()
    for path, node in _typed(node, path):  # noqa: B020
        if node["type"] not in known:
            near = difflib.get_close_matches(node["type"], known, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else (
                "Import the module that registers it in `custom_imports`.")
            raise UserError(f"{path}.type: there is no type {node['type']!r}. {hint}")
        keys = _keys_of(node, known)
        if keys is not None and not path.endswith(_BUILT_BY_MMCV):
            refuse_unknown(f"{path} ({node['type']})", node, keys)
            check_arguments(path, node, known[node["type"]])
            check_arguments(path, node, _forwarded(node, known))


def _check_section_name(name: str) -> None:
    """Raise if a top-level key is close to a section's name, but not equal."""
    if name in SECTIONS or name.endswith("_pipeline"):
        return
    near = difflib.get_close_matches(name, SECTIONS, n=1, cutoff=0.8)
    # names that differ in length by more are helpers, such as `dataloader` for `val_dataloader`
    if near and abs(len(near[0]) - len(name)) <= 2:
        raise UserError(
            f"the config sets {name!r}, which nothing reads. Did you mean {near[0]!r}?")


def _check_loader(name: str, loader: Any) -> None:
    """Raise if a data loader's section has a wrong type, key or number."""
    if not isinstance(loader, Mapping):
        raise UserError(f"{name}: expected a dict with batch_size, sampler and dataset, found "
                        f"{loader!r}.")
    refuse_unknown(name, loader, _LOADER_KEYS, what="key")
    for key in ("dataset", "sampler"):
        if not isinstance(loader.get(key), Mapping):
            raise UserError(f"{name}.{key}: expected a dict with a type, found "
                            f"{loader.get(key)!r}.")
    size = loader.get("batch_size", 1)
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise UserError(f"{name}.batch_size: expected a number from 1 on, found {size!r}.")


def _check_lengths(cfg: Config) -> None:
    """Raise if the length of a training is no number from 1 on."""
    loop = cfg.get("train_cfg")
    for key in ("max_iters", "max_epochs", "val_interval") if _mapping(loop) else ():
        value = loop.get(key, 1)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise UserError(f"train_cfg.{key}: expected a number from 1 on, found {value!r}.")


def _check_keys_without_type(cfg: Config) -> None:
    """Check the sections whose readers take keys from them one by one."""
    environment = cfg.get("env_cfg")
    wrapper = cfg.get("optim_wrapper")
    model = cfg.model
    model = model.get("module", model) if isinstance(model, Mapping) else {}
    tables = [
        ("randomness", cfg.get("randomness"), {"seed", "diff_rank_seed", "deterministic"}),
        ("env_cfg", environment, {"cudnn_benchmark", "mp_cfg", "dist_cfg", "resource_limit"}),
        ("env_cfg.dist_cfg", (environment or {}).get("dist_cfg"), {
            *inspect.signature(init_dist).parameters,
            *inspect.signature(torch.distributed.init_process_group).parameters}),
        ("env_cfg.mp_cfg", (environment or {}).get("mp_cfg"), {
            "mp_start_method", "opencv_num_threads"}),
        ("optim_wrapper.clip_grad", (wrapper or {}).get("clip_grad"), {
            "type", *inspect.signature(torch.nn.utils.clip_grad_norm_).parameters,
            *inspect.signature(torch.nn.utils.clip_grad_value_).parameters} - {"parameters"}),
        ("auto_scale_lr", cfg.get("auto_scale_lr"), {"enable", "base_batch_size"}),
        ("compile", cfg.get("compile"), inspect.signature(torch.compile).parameters),
    ]
    if _mapping(wrapper) and wrapper.get("constructor", _CONSTRUCTORS[0]) in _CONSTRUCTORS:
        paramwise = wrapper.get("paramwise_cfg")
        own = {"layer_decay"} if wrapper.get("constructor") == _CONSTRUCTORS[1] else set()
        tables.append(("optim_wrapper.paramwise_cfg", paramwise, _PARAMWISE_KEYS | own))
        custom = paramwise.get("custom_keys") if _mapping(paramwise) else None
        for name, rule in custom.items() if _mapping(custom) else ():
            tables.append((f"optim_wrapper.paramwise_cfg.custom_keys[{name!r}]", rule,
                           _MULTIPLIERS))
    if model.get("type") in _SEGMENTORS:
        tables.append(("model.test_cfg", model.get("test_cfg"),
                       {"mode", "crop_size", "stride", "window_batch"}))
    head = model.get("decode_head")
    if _mapping(head) and head.get("type") == "ReinMask2FormerHead":
        tables.append(("model.decode_head.train_cfg", head.get("train_cfg"),
                       _MASK2FORMER_TRAIN_KEYS))
    for path, node, keys in tables:
        if _mapping(node):
            refuse_unknown(path, node, {*keys, "_scope_"}, what="key")


def _check_multiplied(wrapper: Any) -> None:
    """Raise if `paramwise_cfg` multiplies a value that the optimizer does not set."""
    if not _mapping(wrapper) or not _mapping(wrapper.get("optimizer")):
        return
    for key, multiplier, example in (
            ("weight_decay", "decay_mult", "weight_decay=0.05, or 0 for none"),
            ("lr", "lr_mult", "lr=1e-4")):
        multiplied = multiplier in repr(wrapper.get("paramwise_cfg"))
        if multiplied and wrapper["optimizer"].get(key) is None:
            raise UserError(f"optim_wrapper.optimizer: sets no {key}, which its paramwise_cfg "
                            f"multiplies. Set one, for example {example}.")


def _mapping(node: Any) -> bool:
    return isinstance(node, Mapping)


def _typed(node: Any, path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield all dicts with a `type` of text below a node, with their paths."""
    if _mapping(node):
        if isinstance(node.get("type"), str):
            yield path, node
        for key, value in node.items():
            # initialisers are named by a registry of their own, ways of clipping by mmengine; the
            # published `lora_cfg` has a type that no registry knows, and its backbone checks it
            if key not in ("init_cfg", "clip_grad", "lora_cfg"):
                yield from _typed(value, f"{path}.{key}" if path else key)
    elif isinstance(node, list | tuple):
        for i, value in enumerate(node):
            yield from _typed(value, f"{path}[{i}]")


def _keys_of(node: Mapping[str, Any], known: Mapping[str, Collection[RegisteredType]],
             ) -> set[str] | None:
    """Collect the keys that a node's type takes; None if its signature does not tell."""
    keys = {"type", "_scope_"}
    for registry, build in known[node["type"]]:
        own = _arguments(registry, build)
        if own is None:
            return None
        keys |= own | _READ_ELSEWHERE.get(registry, set())
    if node["type"] == "CheckpointHook":  # passes them on when it saves
        keys |= set(inspect.signature(Runner.save_checkpoint).parameters)
    for registry, build in _forwarded(node, known):
        keys |= _arguments(registry, build) or set()
    return keys


def _forwarded(node: Mapping[str, Any], known: Mapping[str, Collection[RegisteredType]],
               ) -> Collection[RegisteredType]:
    """Return the types that take those arguments which a node's type passes on."""
    key, default = _FORWARDING.get(node["type"], (None, None))
    return known.get(node.get(key) or default, ())


@functools.cache
def _arguments(registry: str, build: Any) -> set[str] | None:
    """Collect a type's arguments; None if it passes others on to places unknown here."""
    if not inspect.isclass(build):
        parameters = inspect.signature(build).parameters.values()
        return None if any(p.kind is p.VAR_KEYWORD for p in parameters) else {
            p.name for p in parameters}
    parameters = inspect.signature(build.__init__).parameters.values()
    passes_on = any(p.kind is p.VAR_KEYWORD for p in parameters)
    # models hand their arguments on to parts, and the package's own check them themselves
    if passes_on and (registry == "model" or build.__module__.split(".")[0] not in _LIBRARIES):
        return None
    return known_arguments(build)
