"""Read weight files without running code in them; write them completely or not at all.

Pickles are read by torch's restricted unpickler with the allow-list below. `.safetensors` files
hold the weights unchanged, and everything else as JSON in their header.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from mmengine.logging.history_buffer import HistoryBuffer
from torch import Tensor

from rein.atomic_files import replacing
from rein.checkpoint.soma import from_published_soma, is_published_soma
from rein.checkpoint.torchscript import is_torchscript, read_torchscript
from rein.errors import UserError

StateDict = dict[str, Tensor]

FINGERPRINT = "frozen_backbone"
"""Key in the `meta` of a trained checkpoint: the fingerprint of its frozen backbone."""

CALIBRATION = "calibration"
"""Key in the `meta` of a calibrated segmentor: `temperature` and how it was fitted."""

FEATURE_STATISTICS = "feature_statistics"
"""Key in the `meta` of a calibrated segmentor: `FeatureStatistics.to_meta`."""

TRAINABLE = "trainable_parameters"
"""Key in the `meta` of a folded segmentor: parameters of the backbone that training had changed."""

SHARDS_SUFFIX = ".safetensors.index.json"
"""How the name of Hugging Face's list of a model's files ends."""

CONVERT_COMMAND = "python tools/convert_models/convert_dinov2.py"
CONVERT_ANY_COMMAND = "python tools/convert_models/convert_backbone.py"

_REFUSED = re.compile(r"unsupported (global|class)|not allowed", re.IGNORECASE)
_SAFETENSORS_META = "rein_meta"
_META_TYPES = {
    "cfg": str, "dataset_meta": Mapping, "iter": int, FINGERPRINT: Mapping,
    CALIBRATION: Mapping, FEATURE_STATISTICS: Mapping, TRAINABLE: int}


# ------------------------------------------------------------------------------------------ reading
def _statistics_method(owner: type, name: str):
    """Replace `getattr` in pickles; return only HistoryBuffer's own statistics."""
    if owner is not HistoryBuffer or name not in ("min", "max", "current", "mean"):
        raise UnpicklingError(f"getattr({owner!r}, {name!r}) is not allowed in a checkpoint")
    return getattr(owner, name)


def _safe_globals() -> list:
    """List the globals a checkpoint may use besides tensors and plain containers.

    mmengine's message hub stores loss histories as `HistoryBuffer`s of NumPy arrays.
    """
    reconstruct = np.empty(0).__reduce__()[0]
    scalar = np.float64(0).__reduce__()[0]
    dtypes = {type(np.dtype(t)) for t in (np.bool_, np.int32, np.int64, np.float32, np.float64)}
    return [
        HistoryBuffer, (_statistics_method, "builtins.getattr"), np.ndarray, np.dtype, *dtypes,
        reconstruct, (reconstruct, "numpy.core.multiarray._reconstruct"),
        (reconstruct, "numpy._core.multiarray._reconstruct"),
        (scalar, "numpy.core.multiarray.scalar"), (scalar, "numpy._core.multiarray.scalar"),
    ]


def load_file(path: str | Path, map_location: Any = "cpu") -> dict[str, Any]:
    """Read a `.pth`, `.safetensors` or TorchScript file without running code in it.

    Args:
        path: The file.
        map_location: Device of its tensors, as for `torch.load`; "meta" reads only names and shapes
            from a `.pth`, which takes no time.

    Returns:
        The file's content, a state dict, or a dict with `state_dict` and `meta`.

    Raises:
        UserError: The file is missing, is not a checkpoint, is damaged, or holds objects that
            could run code.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file. {how_to_get(path)}")
    if path.suffix == ".npz":
        raise UserError(f"{path}: a JAX file. Convert it with `{CONVERT_ANY_COMMAND} {path} OUT "
                        "--model NAME`.")
    if path.suffix == ".onnx":
        raise UserError(f"{path}: an exported ONNX file, expected a checkpoint. Predict with it by "
                        f"`rein predict {path} INPUT`, or rein.export.onnx_predictor.load_onnx.")
    try:
        content = _read(path, map_location)
    except UserError:
        raise
    except UnpicklingError as error:
        refused = [line for line in str(error).splitlines() if _REFUSED.search(line)]
        if refused:
            raise UserError(
                f"{path}: refused, because it holds objects that could run code, not only "
                f"weights ({refused[0].strip()[:120]}). Ask for a file of plain tensors."
            ) from None
        raise UserError(f"{path}: not a checkpoint, or damaged. Download or create it again."
                        ) from None
    except Exception as error:  # truncated zip archives fail in many ways
        reason = (str(error).splitlines() or [""])[0]
        reason = f" ({reason})" if " " in reason else ""  # a key alone says nothing
        raise UserError(
            f"{path}: not a checkpoint, or damaged{reason}. Download or create it again."
        ) from None
    if not isinstance(content, Mapping):
        raise UserError(f"{path}: holds a {type(content).__name__}, expected a dict of tensors.")
    for name, kind in _META_TYPES.items():
        value = meta_of(content).get(name)
        if value is not None and not isinstance(value, kind):
            raise UserError(f"{path}: damaged, because its meta has {name!r} of type "
                            f"{type(value).__name__}. Download or create it again.")
    return content


def _read(path: Path, map_location: Any) -> Any:
    """Read a file of any supported format."""
    if path.suffix == ".safetensors":
        return _load_safetensors(path, map_location)
    if path.name.endswith(SHARDS_SUFFIX):
        return _load_shards(path, map_location)
    if is_torchscript(path):
        return read_torchscript(path)
    with torch.serialization.safe_globals(_safe_globals()):
        return torch.load(path, map_location=map_location, weights_only=True)


def _load_safetensors(path: Path, device: Any) -> dict[str, Any]:
    """Read weights, and the `meta` that `_save_safetensors` stored beside them."""
    from safetensors import safe_open

    device = "cpu" if str(device) == "meta" else str(torch.device(device))  # it lacks meta
    with safe_open(path, "pt", device=device) as file:
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a dict
        meta = (file.metadata() or {}).get(_SAFETENSORS_META)
    return weights if meta is None else dict(meta=json.loads(meta), state_dict=weights)


def shards_of(index: Path) -> list[Path]:
    """Return the files that a `.safetensors.index.json` names, all in its own folder.

    Raises:
        ValueError: It is no such index, or names files elsewhere.
    """
    content = json.loads(index.read_text())
    table = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(table, dict) or not table:
        raise ValueError("expected an index of shards with a weight_map")
    names = sorted({str(name) for name in table.values()})
    if any(Path(name).name != name for name in names):
        raise ValueError("its weight_map names files outside its folder")
    return [index.parent / name for name in names]


def _load_shards(index: Path, device: Any) -> dict[str, Any]:
    """Read the shards that an index names; together they hold each of its weights."""
    weights = {}
    for shard in shards_of(index):
        if not shard.is_file():
            raise UserError(f"{index}: {shard.name} is missing in its folder. Download all of "
                            "its files.")
        weights |= _load_safetensors(shard, device)
    missing = sorted(json.loads(index.read_text())["weight_map"].keys() - weights.keys())
    if missing:
        raise UserError(f"{index}: its files lack {len(missing)} weights, such as {missing[0]}. "
                        "Download them again.")
    return weights


def how_to_get(path: Path) -> str:
    """Say how to get a file of the published folder tree."""
    name = path.name
    if name.startswith("dinov2_converted"):
        size = " --img-size 1024" if "1024" in name else ""
        return (f"Create it with `{CONVERT_COMMAND} checkpoints/dinov2_vitl14_pretrain.pth "
                f"{path}{size}`.")
    if "converted" in name:
        return (f"Create it with `{CONVERT_ANY_COMMAND} SRC {path} --model CONFIG`, where SRC is "
                "the released file of CONFIG's backbone; see docs/backbones.md.")
    if name.startswith("dinov2_") and name.endswith("_pretrain.pth"):
        model = name.removesuffix("_pretrain.pth")
        folder = model.removesuffix("_reg4")
        return ("Download it from https://dl.fbaipublicfiles.com/dinov2/"
                f"{folder}/{name} to {path.parent}.")
    if "segmentor" in name:
        return "Create it with tools/generate_full_weights.py."
    return "Check the path."


def state_dict_of(content: Mapping[str, Any]) -> StateDict:
    """Return the weights in a file's content, under any of the usual keys."""
    for key in ("state_dict", "model", "module", "teacher"):
        if isinstance(content.get(key), Mapping):
            content = content[key]
    weights = {
        name.removeprefix("module."): value
        for name, value in content.items() if isinstance(value, Tensor)
    }
    return from_published_soma(weights) if is_published_soma(weights) else weights


def meta_of(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the `meta` in a file's content, or an empty dict."""
    meta = content.get("meta")
    return meta if isinstance(meta, Mapping) else {}


# ------------------------------------------------------------------------------------------ writing
def save_file(content: Mapping[str, Any], path: str | Path) -> Path:
    """Write a checkpoint beside its target, then rename it; no partial file is ever seen.

    Args:
        content: Content that `load_file` will return. A `.safetensors` file takes weights, alone or
            as `state_dict` beside a `meta` of plain values, whose tuples JSON turns into lists.
        path: The target; an existing file is replaced atomically.

    Returns:
        The path.
    """
    path = Path(path)
    try:
        with replacing(path) as temporary:
            if path.suffix == ".safetensors":
                _save_safetensors(content, temporary)
            else:
                with open(temporary, "wb") as file:  # a path would hide the reason of a failure
                    torch.save(content, file)
    except Exception as error:  # a full disk is an OSError, RuntimeError or SafetensorError
        if not _is_disk_error(error):
            raise
        raise UserError(f"{path}: cannot be written ({_reason(error)}). Is the disk full? Any "
                        "previous file is unchanged.") from None
    return path


def _save_safetensors(content: Mapping[str, Any], path: Path) -> None:
    """Write weights, and any `meta` beside them as JSON in the header."""
    from safetensors.torch import save_file as save

    metadata = None
    if isinstance(content.get("state_dict"), Mapping):
        beside = sorted(set(content) - {"meta", "state_dict"})
        if beside:
            raise UserError(f"{', '.join(beside)} cannot be stored in .safetensors; use .pth.")
        metadata = {_SAFETENSORS_META: json.dumps(meta_of(content))}
        content = content["state_dict"]
    save({name: value.contiguous() for name, value in content.items()}, path, metadata)


def _reason(error: BaseException) -> str:
    """Name the system's error, which torch's writer hides behind its own."""
    cause = error
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__context__
    return getattr(cause, "strerror", None) or str(error).splitlines()[0]


def _is_disk_error(error: Exception) -> bool:
    """Tell whether writing failed; torch's zip writer and safetensors raise their own types."""
    return isinstance(error, OSError) or type(error).__name__ == "SafetensorError" or (
        isinstance(error, RuntimeError) and re.search("inline_container|write", str(error)))
