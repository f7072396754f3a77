"""Whether weights fit a model exactly, and if not, why and what mends it.

What a file may have or lack without an error is declared in the two tables below; everything else
is refused.
"""

from collections.abc import Collection, Mapping
from pathlib import Path

from torch import Tensor, nn

from rein.checkpoint.identity import Identity, Kind, Network, identify
from rein.checkpoint.io import CONVERT_COMMAND
from rein.checkpoint.parts import BACKBONE
from rein.errors import UserError

EXTRA_BACKBONE_KEYS = {
    "mask_token": "replaces masked patches in DINOv2's pretraining; nothing else reads it",
}
"""Backbone keys a file may have although no model here has them, and why."""

MAY_MISS = {
    "adapter": "a pretrained backbone has none; training begins with a new one",
    "frozen weights": "checkpoints of training leave them out; they come from the pretrained file",
}
"""What callers may pass as `may_miss`, and why; no key may be missing for another reason."""


def check_fits(
    expected: Mapping[str, Tensor],
    state_dict: Mapping[str, Tensor],
    source: str | Path,
    may_miss: Mapping[str, Collection[str]] | None = None,
) -> None:
    """Raise if weights are not exactly what a model expects.

    Args:
        expected: The model's own state dict; only names and shapes are read.
        state_dict: Weights under published names.
        source: The file, for messages.
        may_miss: Keys that the model has and the file need not have, by their reason, one of
            `MAY_MISS`.

    Raises:
        UserError: A key is missing or unexpected, or a shape differs.
    """
    undeclared = (may_miss or {}).keys() - MAY_MISS.keys()
    if undeclared:
        raise ValueError(f"{sorted(undeclared)}: no declared reason; see MAY_MISS")
    absent = {name for names in (may_miss or {}).values() for name in names}
    extra = {prefix + name for name in EXTRA_BACKBONE_KEYS for prefix in ("", BACKBONE)}
    missing = sorted(set(expected) - set(state_dict) - absent)
    unexpected = sorted(set(state_dict) - set(expected) - extra)
    shapes = {
        name: (tuple(value.shape), tuple(expected[name].shape))
        for name, value in sorted(state_dict.items())
        if name in expected and value.shape != expected[name].shape
    }
    if missing or unexpected or shapes:
        raise UserError(_misfit(
            source, _cause(expected, missing, state_dict), missing, unexpected, shapes))


def load_strictly(
    module: nn.Module,
    state_dict: Mapping[str, Tensor],
    source: str | Path,
    may_miss: Mapping[str, Collection[str]] | None = None,
) -> None:
    """Load weights that fit exactly, or raise as `check_fits` does and leave the module as it was.

    Args:
        module: A model, or a backbone for weights without prefix.
        state_dict: As for `check_fits`.
        source: As for `check_fits`.
        may_miss: As for `check_fits`.
    """
    check_fits(module.state_dict(), state_dict, source, may_miss)
    module.load_state_dict(state_dict, strict=False)  # what may be missing or extra is checked


def _misfit(source, cause, missing, unexpected, shapes) -> str:
    """Compose the message of weights that do not fit: the likely cause first, then the keys."""
    parts = [f"{source}: these weights do not fit the model. {cause}"]
    for name, (found, wanted) in list(shapes.items())[:3]:
        parts.append(f"{name} is {found}, expected {wanted};")
    for what, names in (("missing", missing), ("unexpected", unexpected)):
        if names:
            shown = ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
            parts.append(f"{len(names)} {what}: {shown};")
    return " ".join(parts).rstrip(";") + "."


def _cause(expected: Mapping, missing: list[str], state_dict: Mapping) -> str:
    """Guess why weights do not fit, and say what mends it."""
    found, wanted = identify(state_dict), identify(expected)
    backbones = (Kind.ORIGINAL, Kind.CONVERTED)
    if wanted.kind in backbones and found.kind in (Kind.TRAINED, Kind.HEAD):
        return "This is a trained adapter and head, not a backbone."
    if wanted.kind in backbones and found.kind is Kind.SEGMENTOR:
        return ("This is a full segmentor, not a backbone; tools/split_weights.py takes it "
                "apart.")
    if wanted.kind not in backbones and found.kind in backbones:
        return "This is a backbone alone, not a trained segmentor or adapter."
    if found.backbone and wanted.backbone and found.backbone != wanted.backbone:
        return _networks_differ(found.backbone, wanted.backbone)
    return _parts_differ(found, wanted, missing)


def _networks_differ(found: Network, wanted: Network) -> str:
    convert = f"convert the file as it was downloaded with `{CONVERT_COMMAND} SRC OUT"
    if (found.width, found.depth) != (wanted.width, wanted.depth) or (
            found.registers, found.gated) != (wanted.registers, wanted.gated):
        return f"They are of another network ({found}) than the config's ({wanted})."
    if found.patch != wanted.patch:
        return (f"They have patch size {found.patch}, the config's model has {wanted.patch}: "
                f"{convert} --patch-size {wanted.patch}`.")
    return (f"Their position grid has {found.places} places, the config's {wanted.places}: "
            f"{convert} --img-size SIZE`.")


def _parts_differ(found: Identity, wanted: Identity, missing: list[str]) -> str:
    if found.backbone is None and any(name.startswith("backbone.blocks.") for name in missing):
        return "The frozen backbone is not in this file: give it with --backbone."
    if found.adapter != wanted.adapter:
        return f"Their adapter is {found.adapter}, the config's {wanted.adapter}."
    if None not in (found.classes, wanted.classes) and found.classes != wanted.classes:
        return f"Their head tells {found.classes} classes apart, the config's {wanted.classes}."
    return "They belong to another architecture."
