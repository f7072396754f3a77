"""Weight files in and out of models: convert, merge, load for testing. The tools call these."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
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
        source: A backbone in DINOv2's format.
        out: Default: `dinov2_converted.pth` beside the source, with the size in its name unless
            that is 512x512; the training configs look for it there.
        img_size: Height and width in pixels.
        patch_size: Side of a patch in pixels.
        overwrite: Replace another file at `out`.
        width: Refuse networks of another width.

    Returns:
        The path written.
    """
    weights = ckpt.state_dict_of(ckpt.load_file(find_path(source)))
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


def fit_backbone(weights: StateDict, backbone: Mapping[str, Tensor]) -> StateDict:
    """Convert DINOv2 weights to the patch and grid that a backbone's weights have.

    Weights that fit already are returned as they are, and so are those that are no DINOv2
    backbone: strict loading tells what is wrong with them.
    """
    if not {"pos_embed", "cls_token", "patch_embed.proj.weight"} <= weights.keys():
        return weights
    if all(backbone[name].shape == weights[name].shape
           for name in ("pos_embed", "patch_embed.proj.weight")):
        return weights
    patch_size = backbone["patch_embed.proj.weight"].shape[-1]
    side = round((backbone["pos_embed"].shape[1] - 1)**0.5)
    return ckpt.convert_dinov2(weights, (side * patch_size,) * 2, patch_size)


def carried_config(content: Mapping[str, Any], source: str | Path) -> Config | None:
    """Return the config in a checkpoint's `meta`, read as data; None if there is none."""
    text = content.get("meta", {}).get("cfg") if isinstance(content.get("meta"), Mapping) else None
    return config_from_text(text, str(source)) if text else None


def build_empty(cfg: Config) -> nn.Module:
    """Build a config's model without memory for its weights, to compare names and shapes."""
    with torch.device("meta"), DefaultScope.overwrite_default_scope("mmseg"):
        return MODELS.build(cfg.model)


def merge_files(
    backbone: str | Path,
    rein_and_head: str | Path,
    out: str | Path,
    default_config: Config,
    overwrite: bool = False,
) -> Path:
    """Merge a backbone and the trained parts to a file that tests by itself.

    Args:
        backbone: A DINOv2 file, converted or as downloaded.
        rein_and_head: What training saved.
        out: The full segmentor: `state_dict`, and `meta` with the config.
        default_config: The config to put in where the trained parts carry none.
        overwrite: Replace another file at `out`.

    Returns:
        The path written.

    Raises:
        UserError: A file is missing or the parts do not fit each other or the config.
    """
    content = ckpt.load_file(find_path(rein_and_head))
    cfg = carried_config(content, rein_and_head) or default_config
    model = build_empty(cfg)
    weights = ckpt.state_dict_of(ckpt.load_file(find_path(backbone)))
    expected = model.state_dict()
    frozen = ckpt.split(expected).backbone
    if not frozen:
        raise UserError(f"{rein_and_head}: its config has no backbone to merge.")
    merged = ckpt.merge(fit_backbone(weights, frozen), ckpt.state_dict_of(content))
    ckpt.check_fits(expected, merged, f"{backbone} and {rein_and_head}")
    meta = {**content.get("meta", {}), "cfg": cfg.pretty_text}
    return write_output(dict(meta=meta, state_dict=merged), out, overwrite)


def load_for_testing(
    model: nn.Module,
    content: Mapping[str, Any],
    source: str | Path,
    backbone: str | Path | None = None,
) -> None:
    """Load every weight of a model from a checkpoint and, if it holds not all, a backbone.

    Args:
        model: A segmentor.
        content: What `load_file(source)` gave: a full segmentor or what training saved.
        source: The checkpoint, for messages.
        backbone: The pretrained file, converted or as downloaded. Default: the file that the
            model's config names.

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
        pretrained = ckpt.state_dict_of(ckpt.load_file(find_path(backbone)))
        parts = ckpt.split(everything)
        model.backbone.load_pretrained(fit_backbone(pretrained, parts.backbone), str(backbone))
    elif backbone is not None and not lacking:
        raise UserError(f"{source}: holds the backbone already; leave --backbone out.")
    ckpt.load_strictly(model, weights, source, may_miss=frozen if backbone else ())
