"""Faster versions of mmseg's training transforms with the same random draws and pixels."""

import math
from collections.abc import Callable, Sequence

import rein.compat  # noqa: F401  before mmseg

import cv2
import mmcv
import numpy as np
from mmcv.transforms import BaseTransform, RandomChoiceResize
from mmcv.transforms.utils import cache_randomness
from mmseg.datasets.transforms import (
    PackSegInputs,
    PhotoMetricDistortion,
    RandomCrop,
    ResizeShortestEdge,
)
from mmseg.datasets.transforms.transforms import RandomFlip

_VALUES = np.arange(256, dtype=np.uint8)
_FLIP_CODES = dict(horizontal=1, vertical=0, diagonal=-1)


def faster(transforms: Sequence[Callable]) -> list[Callable]:
    """Replace transforms by faster equivalents: same output from the same random numbers.

    Args:
        transforms: The steps of a pipeline, in order. Only exact mmseg classes are replaced, not
            their subclasses.
    """
    steps = []
    for transform in map(_faster, transforms):
        if isinstance(transform, HistogramCrop) and steps and _is_shortest_edge(steps[-1]):
            steps[-1] = ResizedCrop(steps[-1], transform)
        else:
            steps.append(transform)
    return steps


def _is_shortest_edge(transform: Callable) -> bool:
    return type(transform) is RandomChoiceResize and type(transform.resize) is ResizeShortestEdge


def _faster(transform: Callable) -> Callable:
    """Return the faster equivalent of a transform, or the transform itself."""
    if type(transform) is RandomCrop and 0 <= transform.ignore_index < 256:
        return HistogramCrop(
            transform.crop_size, transform.cat_max_ratio, transform.ignore_index)
    if type(transform) is RandomFlip:
        return CopyingFlip(transform.prob, transform.direction, transform.swap_seg_labels)
    if type(transform) is PackSegInputs:
        return PlanarPackSegInputs(transform.meta_keys)
    if type(transform) is PhotoMetricDistortion:
        return TablePhotoMetricDistortion(
            transform.brightness_delta, (transform.contrast_lower, transform.contrast_upper),
            (transform.saturation_lower, transform.saturation_upper), transform.hue_delta)
    return transform


class HistogramCrop(RandomCrop):
    """mmseg's `RandomCrop`, counting the classes of a crop without sorting its pixels.

    Args:
        crop_size (tuple[int, int]): (H, W).
        cat_max_ratio (float): Redraw the crop, up to ten times, while one class covers at least
            this share of its labelled pixels.
        ignore_index (int): The label to exclude from the count.
    """

    @cache_randomness
    def crop_bbox(self, results: dict) -> tuple[int, int, int, int]:
        """Draw a crop box (top, bottom, left, right) in image pixels.

        Args:
            results: Holds `img` (H, W, 3) and `gt_seg_map` (H, W).
        """
        return self.box_in(*results["img"].shape[:2], results.get("gt_seg_map"))

    def box_in(self, height: int, width: int, label: np.ndarray) -> tuple[int, int, int, int]:
        """Draw a crop box for an image of this size, given its label (H, W)."""
        box = self._draw(height, width)
        if self.cat_max_ratio < 1:
            for _ in range(10):
                if self._is_varied(self.crop(label, box)):
                    break
                box = self._draw(height, width)
        return box

    def _draw(self, height: int, width: int) -> tuple[int, int, int, int]:
        crop_height, crop_width = self.crop_size
        top = np.random.randint(0, max(height - crop_height, 0) + 1)
        left = np.random.randint(0, max(width - crop_width, 0) + 1)
        return top, top + crop_height, left, left + crop_width

    def _is_varied(self, label: np.ndarray) -> bool:
        """Tell whether a label (H, W) has several classes, none above the maximum share."""
        counts = cv2.calcHist([label], [0], None, [256], [0, 256])[:, 0]  # exact below 2 ** 24
        counts[self.ignore_index] = 0
        counts = counts.astype(np.int64)
        return np.count_nonzero(counts) > 1 and counts.max() / counts.sum() < self.cat_max_ratio


class ResizedCrop(BaseTransform):
    """Random resize and crop in one step; resizes only the part of the image that the crop needs.

    Args:
        resize (RandomChoiceResize): Wraps mmseg's `ResizeShortestEdge`.
        crop (HistogramCrop): The crop to apply after resizing.
    """

    def __init__(self, resize: RandomChoiceResize, crop: HistogramCrop):
        self.resize, self.crop = resize, crop

    def transform(self, results: dict) -> dict:
        """Draw a scale and a crop box, then resize and crop `results` as mmseg does."""
        image, label = results["img"], results.get("gt_seg_map")
        if results.get("seg_fields") != ["gt_seg_map"] or label.shape != image.shape[:2]:
            return self.crop(self.resize(results))
        height, width = image.shape[:2]
        edge, results["scale_idx"] = self.resize._random_select()
        results["scale"] = self.resize.resize._get_output_shape(image, edge)
        new_width, new_height = mmcv.rescale_size((width, height), results["scale"])
        label = cv2.resize(label, (new_width, new_height), interpolation=cv2.INTER_NEAREST)
        box = self.crop.box_in(new_height, new_width, label)
        results["img"] = _resized(image, new_height, new_width, box)
        results["gt_seg_map"] = self.crop.crop(label, box)
        results["img_shape"] = results["img"].shape[:2]
        results["scale_factor"] = (new_width / width, new_height / height)
        results["keep_ratio"] = True
        return results

    def __repr__(self):
        return f"{type(self).__name__}({self.resize!r}, {self.crop!r})"


def _resized(image: np.ndarray, new_height: int, new_width: int,
             box: tuple[int, int, int, int]) -> np.ndarray:
    """Resize an image (H, W, 3) bilinearly and cut a box out of it.

    Each output pixel depends only on its position and the scale. So the image is first cropped
    below and to the right of the box, and OpenCV gets the scale instead of the size; the result is
    bit-identical.
    """
    (height, width), (top, bottom, left, right) = image.shape[:2], box
    # one extra pixel for interpolation, one for rounding the resized size
    rows = math.ceil(min(bottom, new_height) * height / new_height) + 2
    columns = math.ceil(min(right, new_width) * width / new_width) + 2
    resized = cv2.resize(
        image[:rows, :columns], None, fx=new_width / width, fy=new_height / height)
    return resized[top:min(bottom, new_height), left:min(right, new_width)]


class CopyingFlip(RandomFlip):
    """mmseg's `RandomFlip`, copying the image: a reversed view slows down every later step.

    Args:
        prob (float | list[float]): Probability of a flip, or of each direction.
        direction (str | list[str]): "horizontal", "vertical" or "diagonal".
        swap_seg_labels (Sequence, optional): Pairs of labels to swap when flipping.
    """

    def _flip(self, results: dict) -> None:
        image = results["img"]
        super()._flip(results)
        flipped = cv2.flip(image, _FLIP_CODES[results["flip_direction"]])
        results["img"] = flipped.reshape(image.shape)  # OpenCV drops a single channel


class TablePhotoMetricDistortion(PhotoMetricDistortion):
    """mmseg's `PhotoMetricDistortion`, with a 256-entry lookup table per channel for each step.

    Steps are not merged, because mmseg rounds to BGR and back between saturation and hue.

    Args:
        brightness_delta (int): Maximum brightness shift in grey levels.
        contrast_range (tuple[float, float]): Range of the factor for all channels.
        saturation_range (tuple[float, float]): Range of the saturation factor.
        hue_delta (int): Maximum hue shift, out of 180 levels.
    """

    def convert(self, img: np.ndarray, alpha: float = 1, beta: float = 0) -> np.ndarray:
        """Return `alpha * img + beta`, clipped to uint8; `img` may have any shape."""
        return cv2.LUT(img, super().convert(_VALUES, alpha, beta))

    def saturation(self, img: np.ndarray) -> np.ndarray:
        """Scale the saturation of a uint8 (H, W, 3) BGR image with probability 0.5."""
        if not np.random.randint(2):
            return img
        factor = np.random.uniform(self.saturation_lower, self.saturation_upper)
        return _through_hsv(img, 1, super().convert(_VALUES, factor))

    def hue(self, img: np.ndarray) -> np.ndarray:
        """Shift the hue of a uint8 (H, W, 3) BGR image with probability 0.5."""
        if not np.random.randint(2):
            return img
        shift = np.random.randint(-self.hue_delta, self.hue_delta)
        return _through_hsv(img, 0, ((_VALUES.astype(int) + shift) % 180).astype(np.uint8))


def _through_hsv(image: np.ndarray, channel: int, table: np.ndarray) -> np.ndarray:
    """Apply a lookup table to one HSV channel of a BGR image."""
    hsv = cv2.cvtColor(image, cv2.COLOR_BGR2HSV)
    cv2.insertChannel(cv2.LUT(cv2.extractChannel(hsv, channel), table), hsv, channel)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)


class PlanarPackSegInputs(PackSegInputs):
    """mmseg's `PackSegInputs`, with the image laid out as (C, H, W) in one fast step.

    Args:
        meta_keys (Sequence[str]): Keys to keep in each sample's metainfo.
    """

    def transform(self, results: dict) -> dict:
        """Lay the image out as (C, H, W), then pack it."""
        image = results.get("img")
        if image is not None and image.ndim == 3:
            planes = np.stack(cv2.split(image))
            results = dict(results, img=planes.transpose(1, 2, 0))
        return super().transform(results)
