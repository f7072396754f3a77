"""Record the conditions of a test: weights, config, recipe, versions and training curves."""

import hashlib
import importlib
import importlib.metadata
import json
import platform
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from torch import nn

from rein import __version__
from rein.checkpoint import TRAINABLE, digest, meta_of
from rein.engine.configs.carried import carried_config
from rein.engine.training.recipes import shaping
from rein.engine.training.resuming import started_from
from rein.errors import UserError
from rein.evaluation.curves import Curves, read_curves
from rein.evaluation.results import RunRecord
from rein.models.freezing import count_parameters
from rein.paths import find_path

_LIBRARIES = {
    "torch": "torch", "timm": "timm", "mmengine": "onedl-mmengine", "mmcv": "onedl-mmcv",
    "mmseg": "onedl-mmsegmentation", "mmdet": "onedl-mmdetection", "numpy": "numpy",
}


def versions() -> dict[str, str]:
    """Return the versions of this project, Python and the libraries that affect results."""
    found = {"rein": __version__, "python": platform.python_version()}
    for name, package in _LIBRARIES.items():
        try:
            found[name] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:  # installed under the original package name
            found[name] = getattr(importlib.import_module(name), "__version__", "unknown")
    return found


def config_name(cfg: Config, meta: Mapping[str, Any]) -> str:
    """Name a config after its file, else after the run that saved the checkpoint."""
    if cfg.filename:
        return Path(cfg.filename).stem
    name = re.sub(r"_?\d{8}_\d{6}$", "", str(meta.get("experiment_name") or ""))
    return name or "carried by the checkpoint"


def recipe_of(content: Mapping[str, Any], checkpoint: str) -> str:
    """Digest what shaped a training: its config, without seed and data paths, and its length.

    Args:
        content: Content of the checkpoint file.
        checkpoint: Its path, for messages.

    Returns:
        Eight hexadecimal digits; "" if the file carries no config that can be read.
    """
    try:
        cfg = carried_config(content, checkpoint)
    except UserError:
        cfg = None
    if cfg is None:
        return ""
    recipe = shaping(cfg)
    recipe["iter"] = meta_of(content).get("iter")
    start = started_from(cfg)
    if start:
        recipe["load_from"] = Path(start).name
    return _digest(recipe)


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def describe_weights(
    model: nn.Module, content: Mapping[str, Any], checkpoint: str, cfg: Config,
) -> RunRecord:
    """Start the record of a test with the fields that all protocols share.

    Args:
        model: The tested model, with its weights loaded.
        content: Content of the checkpoint file.
        checkpoint: Path of the checkpoint, as given by the user.
        cfg: The tested config.
    """
    meta = meta_of(content)
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else (
        f"CPU, {platform.machine()}")
    return RunRecord(
        checkpoint, digest(model.state_dict()), config_name(cfg, meta), seed=meta.get("seed"),
        recipe=recipe_of(content, checkpoint), versions=versions(), device=device,
        date=datetime.now().astimezone().isoformat(timespec="seconds"),
        model=_digest(shaping(dict(model=cfg.model.get("module", cfg.model)))["model"]),
        trainable=meta.get(TRAINABLE, count_parameters(model.backbone).trainable),
        temperature=model.temperature)


def training_curves(content: Mapping[str, Any], checkpoint: str) -> Curves:
    """Read the training curves of the run that saved a checkpoint; empty if not found.

    The folder of that run is searched beside the checkpoint, then in the work dir of its config.
    """
    meta = meta_of(content)
    try:
        cfg = carried_config(content, checkpoint)
    except UserError:  # may name types that exist only where it was trained
        cfg = None
    stamp = re.search(r"\d{8}_\d{6}$", str(meta.get("experiment_name") or ""))
    folders = [Path(find_path(checkpoint)).parent]
    if cfg is not None and cfg.get("work_dir"):
        folders.append(Path(find_path(cfg.work_dir)))
    for folder in folders:
        if stamp is None or not (folder / stamp.group()).is_dir():
            continue
        # a resumed run has one folder per start; later folders do not belong to it
        files = sorted(path for path in folder.glob("*_*/vis_data/scalars.json")
                       if path.parts[-3] <= stamp.group())
        return read_curves(files)
    return {}
