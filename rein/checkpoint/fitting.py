"""Check that weights fit a model exactly; if not, name the cause and the fix.

`EXTRA_BACKBONE_KEYS` and `MAY_MISS` declare the keys that a file may add or lack; any other
difference raises.
"""

from collections.abc import Collection, Mapping
from pathlib import Path

from torch import Tensor, nn

from rein.checkpoint.families import matches, unused_weights
from rein.checkpoint.identity import Identity, Kind, Network, identify
from rein.checkpoint.io import CONVERT_ANY_COMMAND, CONVERT_COMMAND
from rein.checkpoint.parts import ADAPTER, BACKBONE
from rein.errors import UserError

EXTRA_BACKBONE_KEYS = unused_weights()
"""Templates of extra backbone keys that files may have, with the reason."""

MAY_MISS = {
    "adapter": "a pretrained backbone has none; training starts with a new one",
    "output norms": "pretrained classifiers have none after their inner stages; they start neutral",
    "frozen weights": "training checkpoints omit them; they come from the pretrained file",
}
"""Keys allowed in `may_miss`, with the reason; no weight may be missing for another reason."""


def check_fits(
    expected: Mapping[str, Tensor],
    state_dict: Mapping[str, Tensor],
    source: str | Path,
    may_miss: Mapping[str, Collection[str]] | None = None,
) -> None:
    """Raise unless weights fit a model exactly.

    Args:
        expected: The model's own state dict; only names and shapes are read.
        state_dict: Weights under published names.
        source: The file, named in messages.
        may_miss: Key of `MAY_MISS` -> names of the model's weights that the file may lack.

    Raises:
        UserError: A key is missing or unexpected, or a shape differs.
    """
    undeclared = (may_miss or {}).keys() - MAY_MISS.keys()
    if undeclared:
        raise ValueError(f"{sorted(undeclared)}: undeclared reason; see MAY_MISS")
    absent = {name for names in (may_miss or {}).values() for name in names}
    prefix = BACKBONE if any(name.startswith(BACKBONE) for name in expected) else ""
    missing = sorted(set(expected) - set(state_dict) - absent)
    unexpected = sorted(
        name for name in set(state_dict) - set(expected)
        if not (name.startswith(prefix)
                and matches(name.removeprefix(prefix), EXTRA_BACKBONE_KEYS)))
    shapes = {
        name: (tuple(value.shape), tuple(expected[name].shape))
        for name, value in sorted(state_dict.items())
        if name in expected and value.shape != expected[name].shape
    }
    if missing or unexpected or shapes:
        raise UserError(_misfit_message(
            source, _cause(expected, state_dict, missing, unexpected, shapes), missing, unexpected,
            shapes))


def load_strictly(
    module: nn.Module,
    state_dict: Mapping[str, Tensor],
    source: str | Path,
    may_miss: Mapping[str, Collection[str]] | None = None,
) -> None:
    """Load weights strictly; if they do not fit, raise like `check_fits` and change nothing.

    Args:
        module: A model, or a backbone for weights without prefix.
        state_dict: As for `check_fits`.
        source: As for `check_fits`.
        may_miss: As for `check_fits`.
    """
    check_fits(module.state_dict(), state_dict, source, may_miss)
    module.load_state_dict(state_dict, strict=False)  # check_fits has checked the keys


def _misfit_message(source, cause, missing, unexpected, shapes) -> str:
    """Compose the message for weights that do not fit: the likely cause, then the keys."""
    parts = [f"{source}: these weights do not fit the model. {cause}"]
    for name, (found, wanted) in list(shapes.items())[:3]:
        parts.append(f"{name} is {found}, expected {wanted};")
    for what, names in (("missing", missing), ("unexpected", unexpected)):
        if names:
            shown = ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
            parts.append(f"{len(names)} {what}: {shown};")
    return " ".join(parts).rstrip(";") + "."


def _cause(
    expected: Mapping, state_dict: Mapping, missing: list[str], unexpected: list[str],
    shapes: Collection[str],
) -> str:
    """Guess why weights do not fit, and suggest a fix."""
    found, wanted = identify(state_dict), identify(expected)
    backbones = (Kind.ORIGINAL, Kind.CONVERTED)
    if wanted.kind in backbones and found.kind in (Kind.TRAINED, Kind.HEAD):
        return "This is a trained adapter and head, not a backbone."
    if wanted.kind in backbones and found.kind is Kind.SEGMENTOR:
        return ("This is a full segmentor, not a backbone; split it with "
                "tools/split_weights.py.")
    if wanted.kind not in backbones and found.kind in backbones:
        return "This is a backbone alone, not a trained segmentor or adapter."
    if found.backbone and wanted.backbone and found.backbone != wanted.backbone:
        return _network_difference(found.backbone, wanted.backbone)
    if found.backbone and shapes and found.backbone.positions == "relative" and all(
            ".rel_pos_" in name or "relative_position" in name for name in shapes):
        return f"They have another image size: {_reconvert(found.backbone.family, '')}"
    if found.backbone is None and any(name.startswith("backbone.blocks.") for name in missing):
        return "The frozen backbone is not in this file: pass its file, too (--backbone)."
    misfits = [name for name in (*missing, *unexpected, *shapes) if name.startswith(BACKBONE)]
    if misfits and all(name.startswith(ADAPTER) for name in misfits):
        return _adapter_difference(found, wanted, expected, state_dict)
    if None not in (found.classes, wanted.classes) and found.classes != wanted.classes:
        return f"Their head has {found.classes} classes, but the config's has {wanted.classes}."
    return "They belong to another architecture."


def _network_difference(found: Network, wanted: Network) -> str:
    if any(getattr(found, name) != getattr(wanted, name) for name in (
            "width", "depth", "stages", "registers", "gated")):
        return f"They belong to another network ({found}), not to the config's ({wanted})."
    if found.patch != wanted.patch:
        return (f"They have patch size {found.patch}, but the config's model has {wanted.patch}: "
                f"{_reconvert(wanted.family, f'--patch-size {wanted.patch}')}")
    return (f"Their position grid has {found.places} places, but the config's has {wanted.places}: "
            f"{_reconvert(wanted.family, '--img-size SIZE')}")


def _reconvert(family: str, option: str) -> str:
    """Say how to convert the released file to the config's size; `option` is for DINOv2 alone."""
    command = CONVERT_COMMAND
    if family != "DINOv2":
        command, option = CONVERT_ANY_COMMAND, "--model CONFIG"
    return f"convert the downloaded file with `{command} SRC OUT {option}`."


def _adapter_difference(
    found: Identity, wanted: Identity, expected: Mapping, state_dict: Mapping,
) -> str:
    """Say how adapters differ whose networks do not."""
    if not any(name.startswith(ADAPTER) for name in state_dict):
        return ("They have no adapter, but the config has one. Use the config that they were "
                "trained with; the config of a folded file is in the file.")
    if not any(name.startswith(ADAPTER) for name in expected):
        difference = "They have an adapter, but the config has none"
    elif None not in (found.adapter, wanted.adapter) and found.adapter != wanted.adapter:
        difference = f"Their adapter is {found.adapter}, but the config's is {wanted.adapter}"
    else:
        difference = "Their adapter differs from the config's"
    return f"{difference}. Use the config that they were trained with."
