"""Pictures of predictions: coloured label maps, side by side, and contact sheets of all domains."""

import io
import itertools
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

from rein.datasets.domains import domain_title
from rein.datasets.image_folders import image_folders, image_name
from rein.datasets.label_maps import CLASSES, PALETTE
from rein.evaluation.painting import (
    IGNORED,
    INK,
    MARGIN,
    PAPER,
    Palette,
    color_map,
    draw_legend,
    error_map,
    legend_height,
    overlay,
    save_png,
    write,
)
from rein.evaluation.seen_images import seen_image

_FAINT = (113, 113, 122)
_GAP, _LINE = 10, 34
_PANEL, _CELL = 400, 360  # width of a strip's panels and of a sheet's columns, in pixels
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


def example_strip(
    source: str | np.ndarray, prediction: np.ndarray, truth: np.ndarray,
    palette: Palette = PALETTE,
) -> bytes:
    """Draw small panels of the image, the overlaid prediction and the errors side by side.

    Args:
        source: Image file, or RGB uint8 (h, w, 3) of any size.
        prediction: Classes (H, W).
        truth: Classes (H, W), 255 where ignored.
        palette: RGB of each class, uint8 range.

    Returns:
        The strip, JPEG-encoded.
    """
    size = (_PANEL, max(round(_PANEL * truth.shape[0] / truth.shape[1]), 1))
    image = source if isinstance(source, np.ndarray) else mmcv.imread(source, channel_order="rgb")
    image = mmcv.imresize(image, size, interpolation="area")
    prediction, truth = (
        mmcv.imresize(seg_map.astype(np.uint8), size, interpolation="nearest")
        for seg_map in (prediction, truth))
    panels = [image, overlay(image, prediction, palette, 0.6), error_map(prediction, truth)]
    content = io.BytesIO()
    Image.fromarray(np.concatenate(panels, axis=1)).save(content, "JPEG", quality=82)
    return content.getvalue()


def _thumbnail(image: np.ndarray) -> Image.Image:
    """Scale a picture to fit into a column, and into 0.6 times its width in height."""
    picture = Image.fromarray(image)
    scale = min(_CELL / picture.width, 0.6 * _CELL / picture.height)
    size = tuple(max(round(side * scale), 1) for side in picture.size)
    # Label maps have few colours; a sharp filter would overshoot and add new ones.
    is_photo = picture.getcolors(maxcolors=256) is None
    return picture.resize(size, Image.Resampling.LANCZOS if is_photo else Image.Resampling.BOX)


def _draw_row(
    sheet: Image.Image, row: SheetRow, pictures: Sequence[Image.Image], columns: Sequence[int],
    top: int,
) -> None:
    draw = ImageDraw.Draw(sheet)
    write(draw, (MARGIN, top), row.name, 17, INK)
    write(draw, (MARGIN, top + 26), row.note, 14, _FAINT)
    for picture, x in zip(pictures, columns, strict=True):
        sheet.paste(picture, (x, top))


def contact_sheet(
    rows: Sequence[SheetRow], titles: Sequence[str], out: str | Path, heading: str = "",
    classes: Sequence[str] = CLASSES, palette: Palette = PALETTE,
) -> None:
    """Draw rows of pictures with row names in the margin and a legend of the classes below.

    Args:
        rows: One per domain or sample.
        titles: Heading of each column, such as ("image", "truth", "prediction").
        out: PNG file to write.
        heading: Title of the sheet.
        classes: Class names for the legend.
        palette: RGB of each class, uint8 range.
    """
    pictures = [[_thumbnail(image) for image in row.images] for row in rows]
    names_width = max(ImageFont.load_default(size=17).getlength(row.name) for row in rows)
    left = MARGIN + int(names_width) + MARGIN
    width = left + len(titles) * (_CELL + _GAP) - _GAP + MARGIN
    top = MARGIN + _LINE * (2 if heading else 1)
    tops = list(itertools.accumulate((line[0].height + _GAP for line in pictures), initial=top))
    entries = [*zip(classes, palette, strict=True), ("ignored", IGNORED)]
    height = tops[-1] + _GAP + legend_height(width, entries) + MARGIN
    sheet = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(sheet)
    columns = [left + i * (_CELL + _GAP) for i in range(len(titles))]
    write(draw, (MARGIN, MARGIN - 4), heading, 22, INK)
    for title, x in zip(titles, columns, strict=True):
        write(draw, (x, top - 24), title, 15, _FAINT)
    for row, line, y in zip(rows, pictures, tops, strict=False):
        _draw_row(sheet, row, line, columns, y)
    draw_legend(sheet, tops[-1] + _GAP, entries)
    save_png(sheet, out)


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
