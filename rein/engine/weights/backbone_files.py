"""Convert released backbones of any family to the names and size of a config."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from rein import checkpoint as ckpt
from rein.checkpoint import StateDict
from rein.checkpoint.families import family_of
from rein.engine.configs.reading import load_config
from rein.engine.registration import register_all_modules
from rein.engine.weights.downloads import find_source
from rein.engine.weights.files import write_output
from rein.engine.weights.jax_files import read_jax_weights
from rein.engine.weights.loading import conversion, fit_backbone
from rein.errors import UserError
from rein.models.arguments import known_arguments
from rein.paths import find_config
from rein.values import COUNT, check_value

PATCH_SIZE = 16
"""Patch side, in pixels, that plain transformers run at unless told otherwise."""


class Target(NamedTuple):
    """A backbone on the meta device, and where its config expects the weights."""

    backbone: nn.Module
    checkpoint: str | None


def convert_backbone(
    source: str,
    out: str | Path | None = None,
    model: str | None = None,
    img_size: tuple[int, int] | None = None,
    patch_size: int | None = None,
    overwrite: bool = False,
) -> Path:
    """Convert a released backbone.

    Args:
        source: A file or folder, `timm:NAME` or `hf:REPO[/FILE]`; see `find_source`.
        out: Default: the file that a config `model` names; otherwise `MODEL_converted.pth` beside
            the source, or in checkpoints/ for a download.
        model: timm's name, a published type such as EVA2, or a config's path or name. Default: the
            model of a `timm:` source.
        img_size: Image size (H, W) in pixels. Default: the config's, or 512x512.
        patch_size: Patch side in pixels. Default: the config's, or 16 for plain transformers.
        overwrite: Replace a different file at `out`.

    Returns:
        The path of the written file.

    Raises:
        UserError: The file or the model is missing or unknown, or they do not fit each other.
    """
    if model is None and source.startswith("timm:"):
        model = source.removeprefix("timm:")
    if model is None:
        raise UserError(f"{source}: name its network with --model: timm's name, a published type "
                        "or a config. See tools/list_backbones.py.")
    target = build_target(model, img_size, patch_size)
    path = find_source(source)
    content = _read(path, target.backbone)
    if ckpt.CONVERTED in ckpt.meta_of(content):
        done = ckpt.meta_of(content)[ckpt.CONVERTED]
        raise UserError(f"{source}: already converted, to {done['size']}; resampling twice would "
                        "blur it. Convert the released file instead.")
    weights = _convert(ckpt.backbone_of(content), target.backbone, source)
    meta = conversion(target.backbone, Path(model).stem)
    if out is None:
        downloaded = source.startswith(("timm:", "hf:"))
        folder = Path("checkpoints") if downloaded else Path(path).parent
        out = target.checkpoint or folder / f"{Path(model).stem}_converted.pth"
    return write_output(dict(meta=meta, state_dict=weights), out, overwrite)


def _read(path: str, backbone: nn.Module) -> Mapping[str, Any]:
    """Read a file's content; JAX files need the name of their network."""
    if not path.endswith(".npz"):
        return ckpt.load_file(path)
    if not backbone.timm_name or backbone.family.name not in ("ViT", "SigLIP"):
        raise UserError(f"{path}: JAX files are read for plain ViTs and SigLIP by timm's name. Use "
                        "the PyTorch file of the same network; see tools/list_backbones.py.")
    return read_jax_weights(path, backbone.timm_name)


def build_target(
    model: str, img_size: tuple[int, int] | None = None, patch_size: int | None = None,
) -> Target:
    """Build the backbone that weights are converted for, without memory.

    Args:
        model: timm's name, a published type, or a config's path or name.
        img_size: As for `convert_backbone`.
        patch_size: As for `convert_backbone`.
    """
    from mmseg.registry import MODELS
    from timm.models import is_model

    from rein.models.backbones import VisionFoundationModel

    for side in img_size or ():
        check_value("convert_backbone", "img_size", side, COUNT)
    if patch_size is not None:
        check_value("convert_backbone", "patch_size", patch_size, COUNT)
    register_all_modules(init_default_scope=False)
    published = MODELS.get(model) if model.isidentifier() else None
    cfg: dict[str, Any] = {}
    checkpoint = None
    if hasattr(published, "FAMILY"):
        builder = published
    elif not model.endswith((".py", ".json")) and is_model(model.split(".")[0]):
        cfg, builder = dict(model=model.split(".")[0]), VisionFoundationModel
    else:
        cfg = dict(load_config(_find_config(model)).model.backbone)
        checkpoint = (cfg.pop("init_cfg", None) or {}).get("checkpoint") or cfg.pop(
            "pretrained", None)
        builder = MODELS.get(cfg.pop("type"))
    names = known_arguments(builder, VisionFoundationModel)
    if "reins_config" in names:  # the weights are the network's alone
        cfg |= dict(reins_config=None, distinct_cfgs=None)
    cfg |= _sizes(names, cfg, img_size, patch_size)
    with torch.device("meta"):
        return Target(builder(**cfg), checkpoint)


def _find_config(model: str) -> str:
    """Return the path of a config; a name that is none may be meant for a network."""
    try:
        return find_config(model)
    except UserError as error:
        raise UserError(f"--model {model}: neither a network of timm nor a published type (see "
                        f"tools/list_backbones.py), and {error}") from None


def _sizes(
    names: set[str], cfg: Mapping, img_size: tuple[int, int] | None, patch_size: int | None,
) -> dict:
    """Return the arguments of image and patch size that a backbone takes."""
    is_timm = "model" in cfg
    if is_timm and family_of(cfg["model"]).stages:
        if img_size or patch_size:
            raise UserError(f"--model {cfg['model']}: a staged network takes images of any size; "
                            "leave --img-size and --patch-size out.")
        return {}
    sizes = {}
    size_name = "input_resolution" if "input_resolution" in names else "img_size"
    if is_timm or size_name in names:
        chosen = img_size or cfg.get(size_name) or (512, 512)
        sizes[size_name] = chosen
        if size_name == "input_resolution":
            sizes[size_name] = max(chosen) if isinstance(chosen, tuple) else chosen
    if is_timm or "patch_size" in names:
        sizes["patch_size"] = patch_size or cfg.get("patch_size") or PATCH_SIZE
        side = sizes[size_name]
        sides = side if isinstance(side, tuple | list) else (side, side)
        if any(one % sizes["patch_size"] for one in sides):
            raise UserError(f"image size {'x'.join(map(str, sides))} is not a multiple of patch "
                            f"size {sizes['patch_size']}.")
    return sizes


def _convert(weights: StateDict, backbone: nn.Module, source: str) -> StateDict:
    """Fit weights to a backbone; drop what it does without, and check the rest."""
    if backbone.family.patch is not None and ckpt.is_converted(weights):
        raise UserError(f"{source}: already converted; resampling twice would blur it. Convert "
                        "the released file instead.")
    try:
        fitted = fit_backbone(weights, backbone)
    except ValueError as error:
        raise UserError(f"{source}: {error}") from None
    expected = backbone.state_dict()
    ckpt.check_fits(expected, fitted, source)
    return {name: value.float() if value.is_floating_point() else value
            for name, value in fitted.items() if name in expected}
