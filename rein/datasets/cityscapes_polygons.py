"""Draw Cityscapes polygon annotations (`*_gtFine_polygons.json`) as label images.

Source: the Cityscapes annotation format (https://www.cityscapes-dataset.com): a list of objects,
each with a label name and a polygon of (x, y) pixels; later objects cover earlier ones.
"""

from collections.abc import Mapping

import numpy as np
from PIL import Image, ImageDraw

from rein.datasets.label_maps import CITYSCAPES_LABELS

MAX_SIDE = 2**15
"""Longest side of an image in pixels, and largest coordinate; real ones are below 2**13."""

_LABELS = {label.name: label for label in CITYSCAPES_LABELS}


def rasterize(annotation: Mapping) -> np.ndarray:
    """Draw the polygons of an annotation in order.

    Args:
        annotation: Holds `imgHeight`, `imgWidth` and `objects`, each with `label`, `polygon` and
            optionally `deleted`. A label ending in `group` (`cargroup`) counts as its class.

    Returns:
        uint8 array (H, W) of Cityscapes label ids; 0 (unlabeled) outside all polygons.

    Raises:
        ValueError: An object has an unknown label, or the image or a coordinate is too large.
    """
    size = annotation["imgWidth"], annotation["imgHeight"]
    if not all(isinstance(side, int) and 0 < side <= MAX_SIDE for side in size):
        raise ValueError(f"imgWidth and imgHeight are {size}, expected 1 to {MAX_SIDE}")
    image = Image.new("L", size, 0)
    draw = ImageDraw.Draw(image)
    for item in annotation["objects"]:
        name = item["label"]
        if name not in _LABELS:
            name = name.removesuffix("group")
        if name not in _LABELS:
            raise ValueError(f"label {item['label']!r} is not a Cityscapes label")
        # objects with negative ids (license plate) are skipped: the label behind them stays
        if item.get("deleted") or _LABELS[name].id < 0:
            continue
        points = [(x, y) for x, y in item["polygon"]]
        if not all(abs(value) <= MAX_SIDE for point in points for value in point):
            raise ValueError(f"a polygon of label {name!r} leaves +-{MAX_SIDE}")
        draw.polygon(points, fill=_LABELS[name].id)
    return np.asarray(image)
