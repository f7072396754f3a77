"""Describe a weight file to its user: kind, content and next step."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rein.checkpoint.families import matches, recognise
from rein.checkpoint.identity import (
    CONVERTED,
    Identity,
    Kind,
    digest,
    identify,
)
from rein.checkpoint.io import (
    CALIBRATION,
    CONVERT_ANY_COMMAND,
    CONVERT_COMMAND,
    FINGERPRINT,
    StateDict,
    meta_of,
    state_dict_of,
)
from rein.checkpoint.parts import BACKBONE, split


def describe(content: Mapping[str, Any], path: str | Path) -> dict[str, str]:
    """Describe a file's content.

    Args:
        content: As returned by `load_file`.
        path: The file, for the suggested commands.

    Returns:
        Label -> value, in display order.
    """
    identity, weights = identify(content), state_dict_of(content)
    rows = {"kind": identity.kind.value}
    if identity.backbone:
        rows["backbone"] = f"{identity.backbone} ({identity.naming}'s names)"
    converted = meta_of(content).get(CONVERTED)
    if converted:
        rows["model"] = f"{converted['model']}, converted to {converted['size']}"
    if identity.adapter:
        rows["adapter"] = str(identity.adapter)
    if identity.classes is not None:
        rows["head"] = f"Mask2Former, {identity.classes} classes"
    if weights:
        parts = ", ".join(f"{part} {n:,}" for part, n in identity.parameters.items())
        rows["parameters"] = f"{sum(identity.parameters.values()):,} ({parts})"
        rows["types"] = ", ".join(identity.types)
        rows |= _digest(weights, identity)
    rows |= _training(content, identity)
    rows["next"] = _next(identity, path)
    return rows


def _digest(weights: StateDict, identity: Identity) -> dict[str, str]:
    """Return a segmentor's digest as reports and model cards show it, else the file's own.

    A model does without some weights of its backbone's file.
    """
    if identity.kind is not Kind.SEGMENTOR:
        return {"file digest": digest(weights)[:12]}
    found = recognise(split(weights).backbone)
    unused = found.family.unused if found else ()
    used = {name: value for name, value in weights.items() if not (
        name.startswith(BACKBONE) and matches(name.removeprefix(BACKBONE), unused))}
    return {"digest": digest(used)[:12]}


def _training(content: Mapping[str, Any], identity: Identity) -> dict[str, str]:
    """Return the rows on a file's training; none for files without training."""
    if identity.kind in (Kind.ORIGINAL, Kind.CONVERTED, Kind.OTHER):
        return {}
    calibration = meta_of(content).get(CALIBRATION)
    trained_on = (meta_of(content).get(FINGERPRINT) or {}).get("digest")
    return {
        "trained": "unknown" if identity.iteration is None else (
            f"{identity.iteration} iterations"),
        "trained with": f"backbone of fingerprint {trained_on[:12]}" if trained_on else (
            "unknown backbone"),
        "config": "carried" if identity.config else "none",
        **({"calibrated": f"temperature {calibration.get('temperature')}, on "
                          f"{calibration.get('data')}"} if calibration else {}),
        "resumable": "yes" if identity.trains_on else "no",
    }


def _next(identity: Identity, path: str | Path) -> str:
    """Return the next step for a file."""
    is_dinov2 = identity.backbone is not None and identity.backbone.family == "DINOv2"
    return {
        Kind.ORIGINAL: f"{CONVERT_COMMAND} {path} OUT" if is_dinov2 else (
            f"{CONVERT_ANY_COMMAND} {path} OUT --model NAME"),
        Kind.CONVERTED: "set it as backbone.init_cfg.checkpoint in a training config",
        Kind.TRAINED: f"python tools/test.py CONFIG {path} --backbone BACKBONE, or merge it with "
                      f"tools/generate_full_weights.py --rein_head {path}",
        Kind.HEAD: f"python tools/test.py CONFIG {path} --backbone BACKBONE",
        Kind.SEGMENTOR: f"python tools/test.py {path} {path}",
        Kind.STATE: "cannot be used without its weights",
        Kind.OTHER: "cannot be used here",
    }[identity.kind]
