"""Pictures of predictions: coloured label maps, side by side, and contact sheets of all domains.

Sources: the Cityscapes palette in `rein.datasets.label_maps`.
"""

import io
import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import mmcv
import numpy as np
from mmengine.dist import all_gather_object, is_main_process
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.registry import HOOKS
from PIL import Image, ImageDraw, ImageFont

from rein.atomic_files import naming_failures, replacing
from rein.datasets.domains import domain_title
from rein.datasets.image_folders import image_folders, image_name
from rein.datasets.label_maps import CLASSES, IGNORE_INDEX, PALETTE
from rein.evaluation.seen_images import seen_image

Palette = Sequence[Sequence[int]]

_PAPER, _INK, _FAINT = (255, 255, 255), (24, 24, 27), (113, 113, 122)
_WRONG, _IGNORED = (229, 57, 53), (0, 0, 0)
_MARGIN, _GAP, _LINE = 24, 10, 34
_CHIP, _LEGEND_CELL, _LEGEND_LINE = 18, 145, 26
_COMPRESS_LEVEL = 3
_TITLES = ("image", "truth", "prediction", "errors")


class SheetRow(NamedTuple):
    """One row of a contact sheet.

    Args:
        name: Text in the margin, such as "Cityscapes".
        note: Grey text below the name, such as "mIoU 66.4"; may contain newlines.
        images: RGB uint8 (H, W, 3), one per column, all of the same shape.
    """

    name: str
    note: str
    images: Sequence[np.ndarray]


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


def error_map(prediction: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Paint wrong pixels red, correct pixels white and ignored pixels black.

    Args:
        prediction: Classes (H, W).
        truth: Classes (H, W), 255 where ignored.

    Returns:
        RGB uint8 (H, W, 3).
    """
    colors = np.where((prediction == truth)[..., None], _PAPER, _WRONG)
    return np.where((truth == IGNORE_INDEX)[..., None], _IGNORED, colors).astype(np.uint8)


def example_strip(
    source: str | np.ndarray, prediction: np.ndarray, truth: np.ndarray,
    palette: Palette = PALETTE, width: int = 400,
) -> bytes:
    """Draw small panels of the image, the overlaid prediction and the errors side by side.

    Args:
        source: Image file, or RGB uint8 (h, w, 3) of any size.
        prediction: Classes (H, W).
        truth: Classes (H, W), 255 where ignored.
        palette: RGB of each class, uint8 range.
        width: Width of each panel in pixels.

    Returns:
        The strip, JPEG-encoded.
    """
    size = (width, max(round(width * truth.shape[0] / truth.shape[1]), 1))
    image = source if isinstance(source, np.ndarray) else mmcv.imread(source, channel_order="rgb")
    image = mmcv.imresize(image, size, interpolation="area")
    prediction, truth = (
        mmcv.imresize(seg_map.astype(np.uint8), size, interpolation="nearest")
        for seg_map in (prediction, truth))
    panels = [image, overlay(image, prediction, palette, 0.6), error_map(prediction, truth)]
    content = io.BytesIO()
    Image.fromarray(np.concatenate(panels, axis=1)).save(content, "JPEG", quality=82)
    return content.getvalue()


def _text(draw: ImageDraw.ImageDraw, at: tuple[int, int], text: str, size: int, fill) -> None:
    draw.text(at, text, fill, ImageFont.load_default(size=size))


def _thumbnail(image: np.ndarray, width: int) -> Image.Image:
    """Scale a picture to fit into `width`, and into 0.6 times that in height."""
    picture = Image.fromarray(image)
    scale = min(width / picture.width, 0.6 * width / picture.height)
    size = tuple(max(round(side * scale), 1) for side in picture.size)
    # Label maps have few colours; a sharp filter would overshoot and add new ones.
    is_photo = picture.getcolors(maxcolors=256) is None
    return picture.resize(size, Image.Resampling.LANCZOS if is_photo else Image.Resampling.BOX)


def _draw_row(
    sheet: Image.Image, row: SheetRow, pictures: Sequence[Image.Image], columns: Sequence[int],
    top: int,
) -> None:
    draw = ImageDraw.Draw(sheet)
    _text(draw, (_MARGIN, top), row.name, 17, _INK)
    _text(draw, (_MARGIN, top + 26), row.note, 14, _FAINT)
    for picture, x in zip(pictures, columns, strict=True):
        sheet.paste(picture, (x, top))


def _draw_legend(
    sheet: Image.Image, top: int, columns: int, entries: Sequence[tuple[str, Sequence[int]]],
) -> None:
    draw = ImageDraw.Draw(sheet)
    for i, (name, color) in enumerate(entries):
        x = _MARGIN + (i % columns) * _LEGEND_CELL
        y = top + (i // columns) * _LEGEND_LINE
        draw.rounded_rectangle((x, y, x + _CHIP, y + _CHIP), 4, tuple(color))
        _text(draw, (x + _CHIP + 8, y), name, 14, _INK)


def contact_sheet(
    rows: Sequence[SheetRow], titles: Sequence[str], out: str | Path, heading: str = "",
    classes: Sequence[str] = CLASSES, palette: Palette = PALETTE, cell_width: int = 360,
) -> None:
    """Draw rows of pictures with row names in the margin and a legend of the classes below.

    Args:
        rows: One per domain or sample.
        titles: Heading of each column, such as ("image", "truth", "prediction").
        out: PNG file to write.
        heading: Title of the sheet.
        classes: Class names for the legend.
        palette: RGB of each class, uint8 range.
        cell_width: Width of a column in pixels.
    """
    pictures = [[_thumbnail(image, cell_width) for image in row.images] for row in rows]
    names_width = max(ImageFont.load_default(size=17).getlength(row.name) for row in rows)
    left = _MARGIN + int(names_width) + _MARGIN
    width = left + len(titles) * (cell_width + _GAP) - _GAP + _MARGIN
    top = _MARGIN + _LINE * (2 if heading else 1)
    tops = list(itertools.accumulate((line[0].height + _GAP for line in pictures), initial=top))
    entries = [*zip(classes, palette, strict=True), ("ignored", _IGNORED)]
    legend_lines = math.ceil(len(entries) / max((width - _MARGIN) // _LEGEND_CELL, 1))
    height = tops[-1] + _GAP + legend_lines * _LEGEND_LINE + _MARGIN
    sheet = Image.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(sheet)
    columns = [left + i * (cell_width + _GAP) for i in range(len(titles))]
    _text(draw, (_MARGIN, _MARGIN - 4), heading, 22, _INK)
    for title, x in zip(titles, columns, strict=True):
        _text(draw, (x, top - 24), title, 15, _FAINT)
    for row, line, y in zip(rows, pictures, tops, strict=False):
        _draw_row(sheet, row, line, columns, y)
    _draw_legend(sheet, tops[-1] + _GAP, math.ceil(len(entries) / legend_lines), entries)
    save_png(sheet, out)


def save_png(picture: Image.Image, path: str | Path) -> None:
    """Write a PNG atomically; its folder is created if missing.

    Raises:
        UserError: The file cannot be written.
    """
    with naming_failures(Path(path), "Make room or choose another folder, then test again."), \
            replacing(Path(path)) as part:
        picture.save(part, format="PNG", compress_level=_COMPRESS_LEVEL)


class _Shown(NamedTuple):
    """A sample kept for the sheet."""

    img_path: str
    images: list[np.ndarray]


@HOOKS.register_module()
class PredictionPictures(Hook):
    """Save each test sample as image | truth | prediction, and a sheet of all domains.

    Writes <out_dir>/<domain>/<path below the folder of the domain's images>.png at the image's size
    and <out_dir>/sheet.png.

    Args:
        out_dir (str): Folder for the pictures.
        samples (int): Rows per domain on the sheet: the first samples by path.
        errors (bool): Add a column that marks wrong pixels in red.
        heading (str): Title of the sheet.
    """

    def __init__(self, out_dir: str, samples: int = 1, errors: bool = False, heading: str = ""):
        self.out_dir = Path(out_dir)
        self.samples = samples
        self.errors = errors
        self.heading = heading
        self._shown: dict[str, list[_Shown]] = {}

    def before_test_epoch(self, runner) -> None:
        """Clear the samples of an earlier test."""
        self._shown = {}

    def after_test_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        """Save the pictures of one batch.

        Args:
            runner: The runner; its test dataset defines the colours.
            batch_idx (int): Unused.
            data_batch (dict, optional): The images, shown where the pipeline changed them.
            outputs (Sequence[SegDataSample]): Predictions with `domain` and `img_path`.
        """
        dataset = runner.test_dataloader.dataset
        palette, folders = dataset.metainfo["palette"], image_folders(dataset)
        for i, sample in enumerate(outputs):
            domain = sample.metainfo.get("domain", "unnamed")
            images = self._draw(sample, seen_image(sample.metainfo, data_batch, i), palette)
            side_by_side = Image.fromarray(np.concatenate(images, axis=1))
            name = Path(image_name(sample.img_path, domain, folders)).with_suffix(".png")
            save_png(side_by_side, self.out_dir / domain / name)
            self._keep(domain, [_Shown(sample.img_path, images)])

    def _draw(self, sample, image: np.ndarray | None, palette: Palette) -> list[np.ndarray]:
        """Draw a sample's panels; `image` is RGB uint8 (h, w, 3), or None for its file."""
        prediction = sample.pred_sem_seg.data.squeeze(0).cpu().numpy()
        if image is None:
            image = mmcv.imread(sample.img_path, channel_order="rgb")
        if image.shape[:2] != prediction.shape:
            image = mmcv.imresize(image, prediction.shape[::-1])
        if "gt_sem_seg" not in sample:
            return [image, color_map(prediction, palette)]
        truth = sample.gt_sem_seg.data.squeeze(0).cpu().numpy()
        images = [image, color_map(truth, palette), color_map(prediction, palette)]
        return [*images, error_map(prediction, truth)] if self.errors else images

    def _keep(self, domain: str, shown: list[_Shown]) -> None:
        """Keep a domain's first samples by path; several processes may have the same one."""
        candidates = {one.img_path: one for one in (*self._shown.get(domain, []), *shown)}
        self._shown[domain] = [candidates[path] for path in sorted(candidates)[:self.samples]]

    def after_test_epoch(self, runner, metrics=None) -> None:
        """Draw the sheet from the samples of all processes.

        Args:
            runner: The runner; its test dataset defines the classes and colours.
            metrics (dict, optional): The mIoUs to print in the margin and the heading.
        """
        kept, self._shown = all_gather_object(self._shown), {}
        for part in kept:
            for domain, shown in part.items():
                self._keep(domain, shown)
        rows = [
            SheetRow(domain_title(domain), _miou(metrics, domain), one.images)
            for domain, shown in self._shown.items() for one in shown
        ]
        if not rows or not is_main_process():
            return
        titles = ("image", "prediction") if len(rows[0].images) == 2 else _TITLES
        heading = " · ".join(filter(None, (self.heading, _miou(metrics, "mean"))))
        meta = runner.test_dataloader.dataset.metainfo
        path = self.out_dir / "sheet.png"
        contact_sheet(
            rows, titles[:len(rows[0].images)], path, heading, meta["classes"], meta["palette"])
        print_log(f"pictures written to {self.out_dir}; overview: {path}", logger="current")


def _miou(metrics: dict | None, domain: str) -> str:
    value = (metrics or {}).get(f"{domain}_mIoU")
    return "" if value is None else f"{'mean ' * (domain == 'mean')}mIoU {value:.1f}"
