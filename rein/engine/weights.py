"""Weight files in and out of models: convert, merge, load for testing. The tools call these."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.registry import DefaultScope
from mmseg.registry import MODELS
from torch import Tensor, nn

from rein import checkpoint as ckpt
from rein.checkpoint import StateDict
from rein.engine.config import config_from_text, find_path
from rein.errors import UserError
from rein.models.freezing import frozen_names


def write_output(content: Mapping[str, Any], path: str | Path, overwrite: bool = False) -> Path:
    """Write a tool's output; one that is there and the same is success.

    Raises:
        UserError: Another file is there already, and `overwrite` is False.
    """
    path = Path(path)
    if path.exists() and not overwrite:
        if _same(ckpt.load_file(path), content):
            return path
        raise UserError(f"{path}: exists and differs. Remove it, give another name or --force.")
    return ckpt.save_file(content, path)


def _same(a: Any, b: Any) -> bool:
    """Compare nested containers of tensors and plain values."""
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):  # JSON has lists only
        return len(a) == len(b) and all(map(_same, a, b))
    return type(a) is type(b) and a == b


def convert_file(
    source: str | Path,
    out: str | Path | None = None,
    img_size: tuple[int, int] = (512, 512),
    patch_size: int = 16,
    overwrite: bool = False,
    width: int | None = None,
) -> Path:
    """Convert a DINOv2 file as it is downloaded to the size a config needs.

    Args:
        source: A DINOv2 backbone of Meta's, timm's or Hugging Face's.
        out: Default: `dinov2_converted.pth` beside the source, with the size in its name unless
            that is 512x512; the training configs look for it there.
        img_size: Height and width in pixels.
        patch_size: Side of a patch in pixels.
        overwrite: Replace another file at `out`.
        width: Refuse networks of another width.

    Returns:
        The path written.
    """
    weights = ckpt.load_backbone(find_path(source))
    try:
        converted = ckpt.convert_dinov2(weights, img_size, patch_size)
    except UserError as error:
        raise UserError(f"{source}: {error}") from None
    found = weights["cls_token"].shape[-1]
    if width is not None and found != width:
        raise UserError(f"{source}: a network of width {found}, expected ViT-L of width {width}. "
                        f"Use `{ckpt.CONVERT_COMMAND} {source} OUT`.")
    if out is None:
        size = "" if tuple(img_size) == (512, 512) else "_{}x{}".format(*img_size)
        out = Path(find_path(source)).parent / f"dinov2_converted{size}.pth"
    return write_output(converted, out, overwrite)


def fit_backbone(weights: StateDict, backbone: nn.Module) -> StateDict:
    """Convert DINOv2 weights as they are downloaded to the patch and grid of a backbone.

    Args:
        weights: Without prefix, under DINOv2's names.
        backbone: What they shall fit; its weights need no memory.

    Returns:
        Weights that fit already, or are no such file, as they are: strict loading tells what is
        wrong with them. Converted ones are not converted again, which would blur them.
    """
    expected = backbone.state_dict()
    if ckpt.identify(weights).kind is not ckpt.Kind.ORIGINAL or not all(
            name in expected for name in ckpt.RESAMPLED):
        return weights
    if all(expected[name].shape == weights[name].shape for name in ckpt.RESAMPLED):
        return weights
    patch_embed = backbone.model.patch_embed
    patch_size = patch_embed.patch_size[0]
    rows, columns = patch_embed.grid_size
    return ckpt.convert_dinov2(weights, (rows * patch_size, columns * patch_size), patch_size)


def carried_config(content: Mapping[str, Any], source: str | Path) -> Config | None:
    """Return the config in a checkpoint's `meta`, read as data; None if there is none."""
    text = ckpt.meta_of(content).get("cfg")
    return config_from_text(text, str(source)) if text else None


def build_empty(cfg: Config) -> nn.Module:
    """Build a config's model without memory for its weights, to compare names and shapes."""
    with torch.device("meta"), DefaultScope.overwrite_default_scope("mmseg"):
        return MODELS.build(cfg.model)


def frozen_fingerprint(model: nn.Module) -> dict[str, Any] | None:
    """Identify the frozen backbone of a segmentor; None if nothing of it is frozen."""
    weights, frozen = model.state_dict(), frozen_names(model)
    backbone = ckpt.split({name: weights[name] for name in sorted(frozen)}).backbone
    return ckpt.fingerprint(backbone) if backbone else None


def check_trained_with(
    content: Mapping[str, Any],
    found: Mapping[str, Any] | None,
    source: str | Path,
    allow_other_backbone: bool = False,
) -> None:
    """Raise if a trained adapter meets another frozen backbone than it was trained with.

    Args:
        content: A checkpoint of training; one without a fingerprint passes with a note.
        found: Fingerprint of the frozen backbone at hand; None if nothing is frozen.
        source: The checkpoint, for messages.
        allow_other_backbone: Log a warning instead.

    Raises:
        UserError: The backbones differ.
    """
    trained = ckpt.meta_of(content).get(ckpt.FINGERPRINT)
    if found is None:
        return
    if trained is None:
        print_log(f"{source}: does not say which frozen backbone it was trained with (published "
                  "files do not); taken to be this one.", "current")
        return
    difference = ckpt.fingerprint_difference(trained, found)
    if difference is None:
        return
    if not allow_other_backbone:
        raise UserError(
            f"{source}: trained with another frozen backbone: {difference}. Give the one it was "
            "trained with, or --allow-other-backbone to use this one all the same.")
    print_log(f"{source}: trained with another frozen backbone: {difference}. Loaded all the same, "
              "because --allow-other-backbone was given.", "current", logging.WARNING)


def merge_files(
    backbone: str | Path,
    rein_and_head: str | Path,
    out: str | Path,
    default_config: Config,
    overwrite: bool = False,
    allow_other_backbone: bool = False,
) -> Path:
    """Merge a backbone and the trained parts to a file that tests by itself.

    Args:
        backbone: A DINOv2 file, converted or as downloaded.
        rein_and_head: What training saved.
        out: The full segmentor: `state_dict`, and `meta` with the config.
        default_config: The config to put in where the trained parts carry none.
        overwrite: Replace another file at `out`.
        allow_other_backbone: Merge with another backbone than the parts were trained with.

    Returns:
        The path written.

    Raises:
        UserError: A file is missing or the parts do not fit each other or the config.
    """
    content = ckpt.load_file(find_path(rein_and_head))
    _expect(content, rein_and_head, "an adapter and head", (ckpt.Kind.TRAINED, ckpt.Kind.HEAD))
    cfg = carried_config(content, rein_and_head) or default_config
    model = build_empty(cfg)
    weights = ckpt.load_backbone(find_path(backbone))
    _expect(weights, backbone, "a backbone", (ckpt.Kind.ORIGINAL, ckpt.Kind.CONVERTED))
    expected = model.state_dict()
    if not ckpt.split(expected).backbone:
        raise UserError(f"{rein_and_head}: its config has no backbone to merge.")
    fitted = fit_backbone(weights, model.backbone)
    merged = ckpt.merge(fitted, ckpt.state_dict_of(content))
    ckpt.check_fits(expected, merged, f"{backbone} and {rein_and_head}")
    check_trained_with(content, ckpt.fingerprint(fitted), rein_and_head, allow_other_backbone)
    meta = dict(ckpt.meta_of(content))
    meta.setdefault("cfg", cfg.pretty_text)
    return write_output(dict(meta=meta, state_dict=merged), out, overwrite)


def _expect(content: Mapping[str, Any], path: str | Path, what: str,
            kinds: tuple[ckpt.Kind, ...]) -> None:
    """Raise if a file is recognised as something else; other networks than ViTs pass."""
    kind = ckpt.identify(content).kind
    if kind not in (*kinds, ckpt.Kind.OTHER):
        raise UserError(f"{path}: expected {what}, found: {kind.value}. "
                        "tools/inspect_checkpoint.py says more.")


def split_file(
    segmentor: str | Path,
    backbone: str | Path,
    rein_and_head: str | Path,
    overwrite: bool = False,
) -> None:
    """Take a full segmentor apart: the inverse of `merge_files`.

    Args:
        segmentor: What `merge_files` wrote, or the published project.
        backbone: Where the converted backbone goes.
        rein_and_head: Where the trained parts go, with the segmentor's `meta`.
        overwrite: Replace other files there.

    Raises:
        UserError: The file is no full segmentor.
    """
    content = ckpt.load_file(find_path(segmentor))
    _expect(content, segmentor, "a full segmentor", (ckpt.Kind.SEGMENTOR,))
    parts = ckpt.split(ckpt.state_dict_of(content))
    write_output(parts.backbone, backbone, overwrite)
    meta = dict(ckpt.meta_of(content))
    write_output(dict(meta=meta, state_dict=parts.rein_and_head), rein_and_head, overwrite)


def load_for_testing(
    model: nn.Module,
    content: Mapping[str, Any],
    source: str | Path,
    backbone: str | Path | None = None,
    allow_other_backbone: bool = False,
) -> None:
    """Load every weight of a model from a checkpoint and, if it holds not all, a backbone.

    Args:
        model: A segmentor.
        content: What `load_file(source)` gave: a full segmentor or what training saved.
        source: The checkpoint, for messages.
        backbone: The pretrained file, converted or as downloaded. Default: the file that the
            model's config names.
        allow_other_backbone: Load onto another frozen backbone than the checkpoint was trained
            with.

    Raises:
        UserError: Weights are missing or do not fit.
    """
    weights = ckpt.state_dict_of(content)
    everything = model.state_dict()
    lacking = set(everything) - set(weights)
    frozen = frozen_names(model)
    if lacking and lacking <= frozen:
        backbone = backbone or (getattr(model.backbone, "init_cfg", None) or {}).get("checkpoint")
        if backbone is None:
            raise UserError(f"{source}: holds what was trained, without the frozen backbone; give "
                            "that with --backbone.")
        pretrained = ckpt.load_backbone(find_path(backbone))
        model.backbone.load_pretrained(fit_backbone(pretrained, model.backbone), str(backbone))
        check_trained_with(content, frozen_fingerprint(model), source, allow_other_backbone)
    elif backbone is not None and not lacking:
        raise UserError(f"{source}: holds the backbone already; leave --backbone out.")
    ckpt.load_strictly(
        model, weights, source, may_miss={"frozen weights": frozen if backbone else ()})
