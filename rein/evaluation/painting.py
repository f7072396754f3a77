"""Paint label maps, overlays and legends, and write PNGs, with NumPy and Pillow alone.

Sources: the Cityscapes palette in `rein.datasets.label_maps`.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from rein.atomic_files import naming_failures, replacing
from rein.datasets.label_maps import IGNORE_INDEX, PALETTE

Palette = Sequence[Sequence[int]]
LegendEntry = tuple[str, Sequence[int] | None]
"""A name and its RGB; None: hatched."""

PAPER, INK = (255, 255, 255), (24, 24, 27)
MARGIN = 24
WRONG, IGNORED = (229, 57, 53), (0, 0, 0)
_HATCHED = 150  # grey of a hatched chip, before hatching
_GROUND = 0.6  # of the brightness, between the lines of a hatch
_CHIP, _LEGEND_CELL, _LEGEND_LINE = 18, 145, 26
_COMPRESS_LEVEL = 3


def color_map(seg_map: np.ndarray, palette: Palette = PALETTE) -> np.ndarray:
    """Paint each class in its colour.

    Args:
        seg_map: Classes (H, W), integers in [0, 255]; classes without a colour are black.
        palette: RGB of each class, uint8 range.

    Returns:
        RGB uint8 (H, W, 3).
    """
    table = np.zeros((256, 3), np.uint8)
    table[:len(palette)] = palette
    return table[np.asarray(seg_map, np.uint8)]


def overlay(
    image: np.ndarray, seg_map: np.ndarray, palette: Palette = PALETTE, alpha: float = 0.5,
) -> np.ndarray:
    """Blend the class colours into an image.

    Args:
        image: RGB uint8 (H, W, 3).
        seg_map: Classes (H, W), integers in [0, 255]; where a class has no colour (255: ignored)
            the image is unchanged.
        palette: RGB of each class, uint8 range.
        alpha: Opacity of the colours in [0, 1].

    Returns:
        RGB uint8 (H, W, 3).
    """
    if image.shape[:2] != seg_map.shape:
        raise ValueError(f"image is {image.shape[:2]}, but seg_map {seg_map.shape} (height, width)")
    mixed = (1 - alpha) * image + alpha * color_map(seg_map, palette)
    known = (seg_map < len(palette))[..., None]
    return np.where(known, np.rint(mixed), image).astype(np.uint8)


def hatch(picture: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Hatch pixels with light diagonal lines on a darkened ground.

    Args:
        picture: RGB uint8 (H, W, 3).
        where: Pixels to hatch, bool (H, W).

    Returns:
        RGB uint8 (H, W, 3).
    """
    height, width = where.shape
    period = max(min(height, width) // 40, 6)  # as dense in a thumbnail as in a photograph
    is_line = np.add.outer(np.arange(height), np.arange(width)) % period < max(period // 4, 1)
    line = 0.25 * picture + 0.75 * np.float32(PAPER)
    hatched = np.where(is_line[..., None], line, _GROUND * picture)
    return np.where(where[..., None], np.rint(hatched), picture).astype(np.uint8)


def error_map(prediction: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Paint wrong pixels red, correct pixels white and ignored pixels black.

    Args:
        prediction: Classes (H, W).
        truth: Classes (H, W), 255 where ignored.

    Returns:
        RGB uint8 (H, W, 3).
    """
    colors = np.where((prediction == truth)[..., None], PAPER, WRONG)
    return np.where((truth == IGNORE_INDEX)[..., None], IGNORED, colors).astype(np.uint8)


def write(draw: ImageDraw.ImageDraw, at: tuple[int, int], text: str, size: int, fill) -> None:
    """Write text in Pillow's own font, `size` pixels high."""
    draw.text(at, text, fill, ImageFont.load_default(size=size))


def legend_height(width: int, entries: Sequence[LegendEntry]) -> int:
    """Return the height of a legend, in pixels, on a sheet of `width`."""
    return _legend_lines(width, len(entries)) * _LEGEND_LINE


def draw_legend(sheet: Image.Image, top: int, entries: Sequence[LegendEntry]) -> None:
    """Draw chips of colour, or hatched, with names in as few lines as fit, below `top` pixels."""
    draw = ImageDraw.Draw(sheet)
    columns = math.ceil(len(entries) / _legend_lines(sheet.width, len(entries)))
    for i, (name, color) in enumerate(entries):
        x = MARGIN + (i % columns) * _LEGEND_CELL
        y = top + (i // columns) * _LEGEND_LINE
        if color is None:
            chip = np.full((_CHIP + 1, _CHIP + 1, 3), _HATCHED, np.uint8)
            sheet.paste(Image.fromarray(hatch(chip, np.ones(chip.shape[:2], bool))), (x, y))
        else:
            draw.rounded_rectangle((x, y, x + _CHIP, y + _CHIP), 4, tuple(color))
        write(draw, (x + _CHIP + 8, y), name, 14, INK)


def _legend_lines(width: int, entries: int) -> int:
    return math.ceil(entries / max((width - MARGIN) // _LEGEND_CELL, 1))


def save_png(picture: Image.Image, path: str | Path) -> None:
    """Write a PNG atomically; its folder is created if missing.

    Raises:
        UserError: The file cannot be written.
    """
    with naming_failures(Path(path), "Make room or choose another folder, then try again."), \
            replacing(Path(path)) as part:
        picture.save(part, format="PNG", compress_level=_COMPRESS_LEVEL)