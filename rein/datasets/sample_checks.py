"""Check samples while loading them; errors name the file and the fix."""

from collections.abc import Callable, Sequence

import rein.compat  # noqa: F401  before mmseg

import cv2
import numpy as np
from mmcv.transforms import (
    LoadAnnotations,
    LoadImageFromFile,
    RandomChoiceResize,
    Resize,
    TestTimeAug,
)
from mmseg.datasets.transforms import LoadAnnotations as MMSegLoadAnnotations
from PIL import Image

from rein.datasets.cache import cache_from_environment, load
from rein.datasets.domains import Origin
from rein.datasets.exact_labels import LoadExactLabels, WrongLabel, values_text
from rein.datasets.fast_mmseg_transforms import ResizedCrop
from rein.errors import UserError


class SampleError(UserError):
    """An unusable sample."""


class CorruptFile(SampleError):
    """A file is missing, does not decode or cannot be resized; its sample may be skipped.

    Args:
        message: What happened, and what to do.
        domain: Domain of the sample.
        path: Image file of the sample.
    """

    def __init__(self, message: str, domain: str = "", path: str = ""):
        super().__init__(message)
        self.domain, self.path = domain, path


class CheckedLoading:
    """A loading transform that reads from the cache and whose errors name the file and the fix.

    Args:
        load (Callable): The transform, an mmcv `LoadImageFromFile` or `LoadAnnotations`.
        origin (Origin): Where to get the files.
        num_classes (int): Valid labels are 0..num_classes - 1; 0 disables the check.
        ignore_index (int): The only other valid label.
        label_values (Sequence[int], optional): Value of each class in the label files, 0 to 255.
            None: 0, 1, 2, ...
    """

    def __init__(
        self, load: Callable, origin: Origin, num_classes: int = 0, ignore_index: int = 255,
        label_values: Sequence[int] | None = None,
    ):
        self.load = load
        self.origin = origin
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        self.label_values = label_values
        self.cache_dir = cache_from_environment()

    def __call__(self, results: dict) -> dict | None:
        """Load the file; check and map labels.

        Raises:
            CorruptFile: The file is missing or cannot be read.
            SampleError: The label has another size than its image, or a value matches no class.
        """
        is_label = isinstance(self.load, LoadAnnotations)
        path = results["seg_map_path" if is_label else "img_path"]
        image_path = results["img_path"]
        try:
            results = load(self.load, results, self.cache_dir)
        except WrongLabel as error:
            raise SampleError(f"{path}: {error} {self.origin.how_to_convert()}") from error
        except Exception as error:  # each decoder raises its own types
            retry = self.origin.how_to_convert() if is_label else "Copy or download it again."
            reason = self._reason(error, path, "label" if is_label else "image")
            raise CorruptFile(
                f"{path}: {reason}. {retry}", self.origin.domain, image_path) from error
        if is_label and results.get("gt_seg_map") is not None:
            self._check_size(path, results)
            results["gt_seg_map"] = self._classes_of(path, results["gt_seg_map"])
        return results

    def _reason(self, error: Exception, path: str, kind: str) -> str:
        """Say why loading failed; blame the file only if it does not decode."""
        if isinstance(error, FileNotFoundError):
            return "no such file"
        if isinstance(error, OSError) and error.strerror:
            return f"the {kind} cannot be read ({error.strerror})"
        try:
            with Image.open(path) as image:
                image.load()
        except Exception:
            return f"the {kind} does not decode"
        return f"the {kind} decodes, but {self.load!r} failed ({type(error).__name__}: {error})"

    def _check_size(self, path: str, results: dict) -> None:
        """Refuse a label that differs in size from its image file."""
        found, expected = results["gt_seg_map"].shape[:2], results.get("ori_shape")
        if expected is None or found == tuple(expected[:2]):
            return
        turned = ", turned as its EXIF data says" if found == tuple(expected[1::-1]) else ""
        raise SampleError(
            f"{path}: the label is {found[1]}x{found[0]}, but its image {results['img_path']} is "
            f"{expected[1]}x{expected[0]}{turned}. Give both the same size, or move both "
            "elsewhere.")

    def _classes_of(self, path: str, seg_map: np.ndarray) -> np.ndarray:
        """Map label values (H, W) to classes; reject unexpected values."""
        if self.label_values is not None:
            return self._mapped(path, seg_map)
        wrong = (seg_map >= self.num_classes) & (seg_map != self.ignore_index)
        if self.num_classes and wrong.any():
            self._refuse(path, seg_map[wrong], f"0-{self.num_classes - 1}")
        return seg_map

    def _mapped(self, path: str, seg_map: np.ndarray) -> np.ndarray:
        table = np.full(256, -1, np.int16)
        table[self.ignore_index] = self.ignore_index
        table[list(self.label_values)] = range(len(self.label_values))
        classes = table[seg_map]
        if classes.min() < 0:
            self._refuse(path, seg_map[classes < 0], ", ".join(map(str, self.label_values)))
        return classes.astype(np.uint8)

    def _refuse(self, path: str, wrong: np.ndarray, expected: str) -> None:
        raise SampleError(
            f"{path}: label values {values_text(wrong)}, but {expected} and {self.ignore_index} "
            f"(ignored) are expected. {self.origin.how_to_convert()}")

    def __repr__(self):
        return f"{type(self).__name__}({self.load!r})"


class CheckedResize:
    """A resizing transform whose error names the image.

    Args:
        resize (Callable): The transform.
        origin (Origin): Where to get the files.
    """

    def __init__(self, resize: Callable, origin: Origin):
        self.resize = resize
        self.origin = origin

    def __call__(self, results: dict) -> dict | None:
        """Resize the image.

        Raises:
            CorruptFile: The image is too thin; no pixels would remain.
        """
        try:
            return self.resize(results)
        except (cv2.error, ZeroDivisionError) as error:
            height, width = results["ori_shape"][:2]
            path = results["img_path"]
            raise CorruptFile(
                f"{path}: the image is {width}x{height}, too thin to be resized by "
                f"{self.resize!r}. Move it and its label elsewhere.",
                self.origin.domain, path) from error

    def __repr__(self):
        return f"{type(self).__name__}({self.resize!r})"


def checked(transform: Callable, origin: Origin, **labels) -> Callable:
    """Wrap a transform, or those inside test-time augmentation, to name the file in errors.

    Args:
        transform: Any transform.
        origin: Where to get the files.
        **labels: As in `CheckedLoading`: num_classes, ignore_index, label_values.
    """
    if type(transform) is MMSegLoadAnnotations:
        transform = LoadExactLabels(
            transform.reduce_zero_label, transform.backend_args, transform.imdecode_backend)
    if isinstance(transform, LoadImageFromFile | LoadAnnotations):
        return CheckedLoading(transform, origin, **labels)
    if isinstance(transform, Resize | RandomChoiceResize | ResizedCrop):
        return CheckedResize(transform, origin)
    if isinstance(transform, TestTimeAug):
        for routine in transform.subroutines:
            routine.transforms = [checked(step, origin, **labels) for step in routine.transforms]
    return transform
