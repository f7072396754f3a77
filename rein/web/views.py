"""Draw a prediction for the page: pictures, legend, and what to read from it."""

import dataclasses
import html
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from rein.datasets.label_maps import IGNORE_INDEX
from rein.prediction import Prediction
from rein.web.conditions import LABELS, ORIGINAL

OVERLAY, COLORS, CONFIDENCE, IMAGE = "overlay", "classes", "confidence", "image"
VIEWS = [("Overlay", OVERLAY), ("Classes", COLORS), ("Confidence", CONFIDENCE), ("Image", IMAGE)]

# anchors of viridis, equally spaced (Smith and van der Walt, CC0)
_VIRIDIS = np.array([(68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37)])
_HIDDEN = (225, 225, 228)


class Shown(NamedTuple):
    """What a visitor sees.

    Attributes:
        original: Prediction of the image as it is.
        current: Prediction of the image under the condition.
        condition: `ORIGINAL` or a corruption.
        severity: 1 to 5.
        seconds: Duration of the last prediction.
    """

    original: Prediction
    current: Prediction
    condition: str = ORIGINAL
    severity: int = 3
    seconds: float = 0.0


def draw(
    prediction: Prediction, view: str = OVERLAY, opacity: float = 0.5, unsure: float = 0.0,
    shown: Sequence[int] | None = None,
) -> Image.Image:
    """Draw a prediction.

    Args:
        prediction: The prediction.
        view: One of `VIEWS`.
        opacity: Opacity of an overlay's colours in [0, 1].
        unsure: Hatch the pixels of shown classes whose confidence is below this, in [0, 1].
        shown: Classes to colour; default: all.

    Returns:
        An RGB picture of the image's size.
    """
    if view == IMAGE:
        return Image.fromarray(prediction.image)
    if view == CONFIDENCE:
        return Image.fromarray(confidence_colors(prediction.confidence))
    if shown is not None:
        hidden = ~np.isin(prediction.seg_map, np.array(shown, np.uint8))
        image = prediction.image
        if view == COLORS:
            image = np.full_like(image, _HIDDEN)
        prediction = dataclasses.replace(
            prediction, image=image,
            seg_map=np.where(hidden, IGNORE_INDEX, prediction.seg_map).astype(np.uint8),
            confidence=np.where(hidden, 1, prediction.confidence).astype(np.float32))
    return prediction.overlay(1.0 if view == COLORS else opacity, unsure or None)


def confidence_colors(confidence: np.ndarray) -> np.ndarray:
    """Paint confidence (H, W) in [0, 1] from violet (0) to yellow (1); RGB uint8 (H, W, 3)."""
    steps = np.linspace(0, 1, len(_VIRIDIS))
    table = np.stack([np.interp(np.linspace(0, 1, 256), steps, channel)
                      for channel in _VIRIDIS.T], -1)
    return np.rint(table).astype(np.uint8)[np.rint(confidence * 255).astype(np.uint8)]


def confidence_bar() -> str:
    """Return the HTML of the scale of `confidence_colors`."""
    stops = ", ".join(f"rgb{tuple(color)}" for color in _VIRIDIS.tolist())
    return ('<div class="confidence-bar"><span>0</span>'
            f'<i style="background: linear-gradient(to right, {stops})"></i><span>1</span></div>')


def legend(prediction: Prediction | None, classes: Sequence[str]) -> list[tuple[str, int]]:
    """Return (label, trainId) of each class, with its share of the pixels if any."""
    if prediction is None:
        return [(name, index) for index, name in enumerate(classes)]
    shares = prediction.shares()
    return [(f"{name} {_percent(shares[name])}" if shares[name] else name, index)
            for index, name in enumerate(classes)]


def legend_css(palette: Sequence[Sequence[int]]) -> str:
    """Return the style that gives each box of the legend its class's colour."""
    rules = []
    for number, color in enumerate(palette, 1):
        rgb = f"rgb({', '.join(map(str, color))})"
        box = f"#legend [data-testid=checkbox-group] label:nth-of-type({number}) input"
        rules.append(
            f"{box} {{border-color: {rgb} !important}}\n"
            f"{box}:checked {{background-color: {rgb} !important}}")
    return "\n".join(rules)


def agreement(one: Prediction, other: Prediction) -> float:
    """Return the share of pixels with the same class in both predictions, in [0, 1]."""
    return float((one.seg_map == other.seg_map).mean())


def summary(shown: Shown, unsure: float = 0.0, view: str = OVERLAY) -> str:
    """Return HTML: size, time, confidence, familiarity, and the effect of a condition."""
    current = shown.current
    height, width = current.seg_map.shape
    facts = [("image", f"{width} x {height}"), ("time", f"{shown.seconds:.1f} s"),
             ("mean confidence", f"{current.confidence.mean():.2f}")]
    if unsure:
        facts.append((f"below {unsure:.2f}", _percent(float((current.confidence < unsure).mean()))))
    if shown.condition != ORIGINAL:
        name = f"class kept under {LABELS[shown.condition]} {shown.severity}"
        facts.append((name, _percent(agreement(shown.original, current))))
    cells = "".join(f"<div><b>{html.escape(value)}</b><span>{html.escape(name)}</span></div>"
                    for name, value in facts)
    return f'{hatch_note(unsure, view)}<div class="facts">{cells}</div>{_shift(current.shift)}'


def hatch_note(unsure: float, view: str = OVERLAY) -> str:
    """Return HTML that says what hatched pixels are; "" if there are none in a view."""
    if not unsure or view not in (OVERLAY, COLORS):
        return ""
    return (f'<div class="hatch-note"><i></i>Hatched: unsure, the confidence is below {unsure:.2f}.'
            "</div>")


def _shift(shift: float | None) -> str:
    """Return HTML that tells how far an image is from the training images; "" if unknown."""
    if shift is None:
        return ""
    words = ("unlike the training images: be careful with this prediction" if shift > 1
             else "like the training images")
    kind = "far" if shift > 1 else "near"
    return (f'<div class="shift {kind}"><b>Domain shift {shift:.2f}</b> '
            f"(threshold 1): {words}.</div>")


def _percent(share: float) -> str:
    return "<1%" if 0 < share < 0.01 else f"{share:.0%}"
