"""Convert backbone files, merge and split segmentor files. Used by the weight tools."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from torch import Tensor, nn

from rein import checkpoint as ckpt
from rein.engine.configs.carried import carried_config
from rein.engine.weights.folding import fold_adapter
from rein.engine.weights.loading import build_empty, check_trained_with, conversion, fit_backbone
from rein.errors import UserError
from rein.paths import find_path


def write_output(content: Mapping[str, Any], path: str | Path, overwrite: bool = False) -> Path:
    """Write a tool's output; an identical existing file counts as success.

    Raises:
        UserError: A different file exists, and `overwrite` is False.
    """
    path = Path(path)
    if path.exists() and not overwrite:
        if _same(ckpt.load_file(path), content):
            return path
        raise UserError(
            f"{path}: exists and differs. Remove it, choose another name or use --force.")
    return ckpt.save_file(content, path)


def _same(a: Any, b: Any) -> bool:
    """Compare nested containers of tensors and plain values."""
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):  # JSON has no tuples
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
    """Convert a downloaded DINOv2 file to the image and patch size of a config.

    Args:
        source: A DINOv2 backbone from Meta, timm or Hugging Face.
        out: Default: `dinov2_converted.pth` beside the source, where the training configs expect
            it; the name includes the size unless it is 512x512.
        img_size: Image size (H, W) in pixels.
        patch_size: Patch side in pixels.
        overwrite: Replace a different file at `out`.
        width: Reject networks of any other width (embedding channels).

    Returns:
        The path of the written file.
    """
    weights = ckpt.to_dinov2_names(ckpt.load_backbone(find_path(source)))
    try:
        converted = ckpt.convert_dinov2(weights, img_size, patch_size)
    except UserError as error:
        raise UserError(f"{source}: {error}") from None
    found = weights["cls_token"].shape[-1]
    if width is not None and found != width:
        raise UserError(f"{source}: the network has width {found}, expected ViT-L of width "
                        f"{width}. Use `{ckpt.CONVERT_COMMAND} {source} OUT`.")
    if out is None:
        size = "" if tuple(img_size) == (512, 512) else "_{}x{}".format(*img_size)
        out = Path(find_path(source)).parent / f"dinov2_converted{size}.pth"
    return write_output(converted, out, overwrite)


def merge_files(
    backbone: str | Path,
    rein_and_head: str | Path,
    out: str | Path,
    default_config: Config,
    overwrite: bool = False,
    allow_other_backbone: bool = False,
    config: Config | None = None,
    raw_weights: bool = False,
    fold: bool = False,
) -> Path:
    """Merge a backbone and the trained parts into a self-contained file for testing.

    Args:
        backbone: A DINOv2 file, converted or as downloaded.
        rein_and_head: Checkpoint saved by training.
        out: The full segmentor: `state_dict`, and `meta` with the config.
        default_config: The config to store if the trained parts carry none.
        overwrite: Replace a different file at `out`.
        allow_other_backbone: Accept a backbone that the parts were not trained with.
        config: Use and store this config instead of the one that the trained parts carry.
        raw_weights: Merge the raw weights of a training checkpoint instead of their average (EMA).
        fold: Fold the adapter into the backbone.

    Returns:
        The path of the written file.

    Raises:
        UserError: A file is missing, the parts do not fit each other or the config, or the adapter
            cannot be folded.
    """
    content = ckpt.load_file(find_path(rein_and_head))
    if raw_weights:
        content = ckpt.with_raw_weights(content, rein_and_head)
    _expect(content, rein_and_head, "an adapter and head", (ckpt.Kind.TRAINED, ckpt.Kind.HEAD))
    cfg = config
    if cfg is None:
        cfg = carried_config(content, rein_and_head) or default_config
    model = build_empty(cfg)
    released = ckpt.load_file(find_path(backbone))
    _expect(released, backbone, "a backbone", (ckpt.Kind.ORIGINAL, ckpt.Kind.CONVERTED))
    expected = model.state_dict()
    if not ckpt.split(expected).backbone:
        raise UserError(f"{rein_and_head}: its config has no backbone to merge.")
    done = ckpt.meta_of(released).get(ckpt.CONVERTED)
    fitted = fit_backbone(ckpt.backbone_of(released), model.backbone, done is not None)
    merged = ckpt.merge(fitted, ckpt.state_dict_of(content))
    ckpt.check_fits(expected, merged, f"{backbone} and {rein_and_head}")
    check_trained_with(content, ckpt.fingerprint(fitted), rein_and_head, allow_other_backbone)
    meta = dict(ckpt.meta_of(content)) | (
        {ckpt.CONVERTED: done} if done else _conversion(model.backbone))
    if fold:
        cfg, merged, meta[ckpt.TRAINABLE] = fold_adapter(cfg, merged, rein_and_head)
        meta[ckpt.FINGERPRINT] = ckpt.fingerprint(ckpt.split(merged).backbone)
    if fold or config is not None or "cfg" not in meta:
        meta["cfg"] = cfg.pretty_text
    return write_output(dict(meta=meta, state_dict=merged), out, overwrite)


def _conversion(backbone: nn.Module) -> dict[str, Any]:
    """Return the `meta` of converted weights that do not show it themselves; else nothing."""
    if backbone.family.patch is not None:
        return {}
    return conversion(backbone, backbone.timm_name)


def _expect(content: Mapping[str, Any], path: str | Path, what: str,
            kinds: tuple[ckpt.Kind, ...]) -> None:
    """Raise if a file is recognised as another kind; networks other than ViTs pass."""
    kind = ckpt.identify(content).kind
    if kind not in (*kinds, ckpt.Kind.OTHER):
        raise UserError(f"{path}: expected {what}, found: {kind.value}. "
                        f"See `python tools/inspect_checkpoint.py {path}`.")


def split_file(
    segmentor: str | Path,
    backbone: str | Path,
    rein_and_head: str | Path,
    overwrite: bool = False,
) -> None:
    """Split a full segmentor into its parts: the inverse of `merge_files`.

    Args:
        segmentor: A file written by `merge_files` or by the published project.
        backbone: Output path for the converted backbone.
        rein_and_head: Output path for the trained parts and the segmentor's `meta`.
        overwrite: Replace different files at the output paths.

    Raises:
        UserError: The file is not a full segmentor.
    """
    content = ckpt.load_file(find_path(segmentor))
    _expect(content, segmentor, "a full segmentor", (ckpt.Kind.SEGMENTOR,))
    parts = ckpt.split(ckpt.state_dict_of(content))
    meta = dict(ckpt.meta_of(content))
    done = meta.pop(ckpt.CONVERTED, None)
    write_output(parts.backbone if done is None else dict(
        meta={ckpt.CONVERTED: done}, state_dict=parts.backbone), backbone, overwrite)
    write_output(dict(meta=meta, state_dict=parts.rein_and_head), rein_and_head, overwrite)
