"""A segmented image: classes, confidence and pictures, with NumPy and Pillow alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from rein.errors import UserError
from rein.evaluation import painting
from rein.values import PATH, SHARE, check_value

_LEGEND_GAP, _MAIN_CLASSES = 12, 4


@dataclass(frozen=True, eq=False, repr=False)
class Prediction:
    """The classes of an image's pixels, and their confidence.

    Args:
        image: The image, RGB uint8 (H, W, 3).
        seg_map: trainIds, uint8 (H, W): positions in `classes`.
        confidence: Probability of the predicted class, float32 (H, W) in [0, 1].
        scores: Score of each class, float32 (C, H, W) >= 0, or None if not asked for.
        classes: Name of each class.
        palette: RGB of each class, uint8 range.
        shift: Distance of the image's features from the training images', in units in which 1 is
            the threshold of an unfamiliar image; None if the model has no statistics of them.
    """

    image: np.ndarray
    seg_map: np.ndarray
    confidence: np.ndarray
    scores: np.ndarray | None
    classes: tuple[str, ...]
    palette: Sequence[Sequence[int]]
    shift: float | None = None

    def __repr__(self) -> str:
        shares = sorted(self.shares().items(), key=lambda item: -item[1])
        main = [f"{name} {share:.0%}" for name, share in shares[:_MAIN_CLASSES] if share]
        shift = "" if self.shift is None else f", shift {self.shift:.2f}"
        height, width = self.seg_map.shape
        return (f"Prediction({width} x {height}: {', '.join(main)}; mean confidence "
                f"{self.confidence.mean():.2f}{shift})")

    def overlay(
        self, opacity: float = 0.5, unsure: float | None = None, legend: bool = False,
    ) -> Image.Image:
        """Blend the class colours into the image.

        Args:
            opacity: Opacity of the colours in [0, 1].
            unsure: Hatch the pixels whose confidence is below this, in [0, 1]: their class is
                uncertain.
            legend: Append the colours and names of the predicted classes below, and the meaning of
                the hatch.

        Returns:
            An RGB picture of the image's size, without the legend.

        Raises:
            UserError: `opacity` or `unsure` is not in [0, 1].
        """
        check_value("overlay", "opacity", opacity, SHARE)
        if unsure is not None:
            check_value("overlay", "unsure", unsure, SHARE)
        picture = painting.overlay(self.image, self.seg_map, self.palette, opacity)
        if unsure is not None:
            picture = painting.hatch(picture, self.confidence < unsure)
        drawn = Image.fromarray(picture)
        return self._with_legend(drawn, unsure) if legend else drawn

    def color_map(self) -> Image.Image:
        """Paint each class in its colour; returns an RGB picture of the image's size."""
        return Image.fromarray(painting.color_map(self.seg_map, self.palette))

    def shares(self) -> dict[str, float]:
        """Return each class's share of the pixels, in [0, 1], in the order of `classes`."""
        counts = np.bincount(self.seg_map.ravel(), minlength=len(self.classes))
        return {name: float(count) / self.seg_map.size
                for name, count in zip(self.classes, counts, strict=False)}

    def save(self, path: str | Path) -> Path:
        """Write the trainIds as a grey PNG of 8 bits, complete or not at all.

        Args:
            path: A file that ends in .png; its folder is created if missing.

        Returns:
            The path.

        Raises:
            UserError: The path has another ending, or cannot be written.
        """
        check_value("save", "path", path, PATH)
        path = Path(path)
        if path.suffix.lower() != ".png":
            raise UserError(f"{path}: trainIds are saved as PNG, which is lossless. End the name "
                            "in .png.")
        painting.save_png(Image.fromarray(self.seg_map), path)
        return path

    def _with_legend(self, picture: Image.Image, unsure: float | None) -> Image.Image:
        entries: list[painting.LegendEntry] = [(self.classes[i], self.palette[i])
                   for i in np.unique(self.seg_map) if i < len(self.classes)]
        if unsure is not None:
            entries.append((f"unsure (< {unsure:.3g})", None))
        height = painting.legend_height(picture.width, entries)
        sheet = Image.new(
            "RGB", (picture.width, picture.height + _LEGEND_GAP + height), painting.PAPER)
        sheet.paste(picture, (0, 0))
        painting.draw_legend(sheet, picture.height + _LEGEND_GAP, entries)
        return sheet
