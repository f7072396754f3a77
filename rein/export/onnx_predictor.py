"""Predict with an exported segmentor: ONNX Runtime, NumPy and OpenCV, without PyTorch.

    from rein.export.onnx_predictor import load_onnx
    model = load_onnx("segmentor.onnx")
    model.predict("street.jpg").overlay().save("street_overlay.png")
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeAlias, cast

import cv2
import numpy as np
from PIL import Image

from rein.errors import UserError, one_line
from rein.evaluation.shift import FeatureStatistics
from rein.export.metadata import INPUT, SMALLEST, Metadata
from rein.images import as_rgb, as_rgb_images, is_several
from rein.paths import find_path
from rein.prediction import Prediction
from rein.values import COUNT, check_value
from rein.windows import window_starts

ImageLike: TypeAlias = str | Path | Image.Image | np.ndarray
"""A file, a PIL image, or an RGB array, uint8 (H, W, 3)."""

PROVIDERS = ("CUDAExecutionProvider", "CPUExecutionProvider")
"""ONNX Runtime's devices, the first available one is used."""


def load_onnx(path: str | Path, threads: int | None = None) -> "OnnxSegmentor":
    """Load a file from tools/export.py.

    Args:
        path: The file, in the working directory or else in the repository.
        threads: Threads of the processor; default: ONNX Runtime's, one per core.

    Raises:
        UserError: The file is missing, damaged or of another kind, or ONNX Runtime is not
            installed.
    """
    try:
        import onnxruntime
    except ImportError:
        raise UserError(f"{path}: needs ONNX Runtime: pip install 'rein-dgss[onnx]'.") from None
    found = find_path(path)
    if not Path(found).is_file():
        raise UserError(f"{path}: no such file. Export one with tools/export.py.")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.log_severity_level = 3  # errors alone
    available = onnxruntime.get_available_providers()
    try:
        session = onnxruntime.InferenceSession(
            found, options, providers=[name for name in PROVIDERS if name in available])
    except Exception as error:  # ONNX Runtime's own types
        reason = "" if "protobuf" in str(error).lower() else f" ({one_line(error)})"
        raise UserError(f"{path}: ONNX Runtime cannot load it{reason}. It may be damaged, or its "
                        ".data file missing: export it again.") from None
    metadata = Metadata.from_props(session.get_modelmeta().custom_metadata_map, path)
    statistics = metadata.feature_statistics
    return OnnxSegmentor(
        session, metadata, statistics and FeatureStatistics.from_meta(statistics, path))


class OnnxSegmentor:
    """An exported segmentor that predicts images of any size.

    Images are resized as in testing, and predicted in the same windows, with the same result as
    PyTorch. Images smaller than a window of fixed size are padded with the mean colour.

    Args:
        session: ONNX Runtime's session.
        metadata: The file's metadata.
        statistics: Of the training images' features; with them, predictions have a `shift`.

    Attributes:
        metadata: See above.
        classes: Name of each class; positions are trainIds.
        palette: RGB of each class, uint8 range.
        precision: "fp32", "fp16" or "int8".
        device: "cuda" or "cpu".
    """

    def __init__(
        self, session: Any, metadata: Metadata, statistics: FeatureStatistics | None = None,
    ) -> None:
        self.metadata, self._statistics = metadata, statistics
        self.classes, self.palette = metadata.classes, metadata.palette
        self.precision = metadata.precision
        self.device = session.get_providers()[0].removesuffix("ExecutionProvider").lower()
        self._session = session
        batch = session.get_inputs()[0].shape[0]
        self._only_batch = batch if isinstance(batch, int) else None

    def __repr__(self) -> str:
        return (f"OnnxSegmentor({self.metadata.kind}, {len(self.classes)} classes, "
                f"{self.precision} on {self.device})")

    def predict(
        self, images: ImageLike | Iterable[ImageLike], *, batch_size: int = 1, scores: bool = False,
    ) -> Prediction | list[Prediction]:
        """Predict the class of each pixel, and its confidence.

        Args:
            images: One image, or several of any sizes; see `ImageLike`.
            batch_size: Windows of an image that run together; ignored if the file fixes it.
            scores: Keep the scores of all classes, 4 bytes per class and pixel.

        Returns:
            One prediction, or a list of predictions in the order of the images.

        Raises:
            UserError: An image is missing, does not decode or has another type or shape, or is too
                large for a graph that takes whole images of one size.
        """
        check_value("predict", "batch_size", batch_size, COUNT)
        if is_several(images):
            return [self._predict(image, batch_size, scores)
                    for image in as_rgb_images(cast(Iterable[Any], images))]
        return self._predict(as_rgb(images), batch_size, scores)

    def _predict(self, image: np.ndarray, batch_size: int, scores: bool) -> Prediction:
        """Predict an RGB image (H, W, 3)."""
        outputs, features = self._outputs(resized(image, self.metadata.resize), batch_size)
        size, logits = image.shape[:2], self.metadata.output == "logits"
        found = classify(outputs, size, logits, self.metadata.temperature)
        kept = None
        if scores:
            kept = np.stack([_fit(one, size) for one in outputs])
            kept = _softmax(kept) if logits else kept
        known = self._statistics
        shift = None if known is None or features is None else known.shift(features)
        return Prediction(image, *found, kept, self.classes, self.palette, shift)

    def _outputs(
        self, image: np.ndarray, batch_size: int,
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Run the graph on a resized image (H, W, 3): as `_slide`."""
        pixels = np.ascontiguousarray(image.transpose(2, 0, 1), np.float32)
        window, stride = self.metadata.window, self.metadata.stride
        if self.metadata.is_dynamic:
            window = map(min, window or pixels.shape[1:], pixels.shape[1:])
            window = tuple(max(side, SMALLEST) for side in window)
        elif stride is None and any(s > w for s, w in zip(pixels.shape[1:], window, strict=True)):
            raise UserError(
                f"the graph takes whole images of {window[1]} x {window[0]} pixels, but this one "
                f"is resized to {image.shape[1]} x {image.shape[0]}. Export with --dynamic.")
        padded = _padded(pixels, window, self.metadata.mean)
        found, features = self._slide(padded, window, stride or window, batch_size)
        return found[:, :image.shape[0], :image.shape[1]], features

    def _slide(
        self, pixels: np.ndarray, window: tuple[int, int], stride: tuple[int, int],
        batch_size: int,
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Average over the windows (H, W) that cover each pixel of an image (3, H, W).

        Returns:
            (classes, H, W), and the mean of the windows' features (C,), or None without statistics.
        """
        size = pixels.shape[1:]
        tops, lefts = map(window_starts, size, window, stride)
        views = [(slice(None), slice(top, top + window[0]), slice(left, left + window[1]))
                 for top in tops for left in lefts]
        total = np.zeros((len(self.classes), *size), np.float32)
        cover = np.zeros(size, np.float32)
        features: list[np.ndarray] = []
        step = self._only_batch or batch_size
        for first in range(0, len(views), step):
            now = views[first:first + step]
            crops = np.stack([pixels[view] for view in now])
            outputs, *more = self._run(crops)
            for view, output in zip(now, outputs, strict=True):
                total[view] += output
                cover[view[1:]] += 1
            features += more
        np.divide(total, cover, out=total)
        return total, np.concatenate(features).mean(0) if features else None

    def _run(self, crops: np.ndarray) -> list[np.ndarray]:
        """Run the graph on crops (n, 3, h, w); a fixed batch is filled up with the last one."""
        missing = (self._only_batch or len(crops)) - len(crops)
        filled = np.concatenate([crops, np.repeat(crops[-1:], missing, 0)]) if missing else crops
        return [output[:len(crops)] for output in self._session.run(None, {INPUT: filled})]


def _padded(pixels: np.ndarray, least: tuple[int, int], mean: Sequence[float]) -> np.ndarray:
    """Pad an image (3, H, W) with the mean colour, at the bottom and right, to (H, W) at least."""
    height, width = (max(a, b) for a, b in zip(least, pixels.shape[1:], strict=True))
    if (height, width) == pixels.shape[1:]:
        return pixels
    out = np.broadcast_to(np.float32(mean)[:, None, None], (3, height, width)).copy()
    out[:, :pixels.shape[1], :pixels.shape[2]] = pixels
    return out


def resized(image: np.ndarray, resize: dict[str, Any]) -> np.ndarray:
    """Resize an image (H, W, 3) as mmcv's `Resize` does, bilinearly.

    Args:
        image: The image.
        resize: As in `Metadata`.
    """
    height, width = image.shape[:2]
    if "scale" in resize:
        scale = tuple(resize["scale"])
    elif "scale_factor" in resize:
        factors = resize["scale_factor"]
        factors = factors if isinstance(factors, list | tuple) else (factors, factors)
        scale = tuple(int(side * float(factor) + 0.5) for side, factor in zip(
            (width, height), factors, strict=True))
    else:
        return image
    if resize.get("keep_ratio"):
        factor = min(max(scale) / max(height, width), min(scale) / min(height, width))
        scale = tuple(int(side * float(factor) + 0.5) for side in (width, height))
    return cv2.resize(image, scale, interpolation=cv2.INTER_LINEAR)


def classify(
    outputs: np.ndarray, size: tuple[int, int], logits: bool, temperature: float = 1.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Find each pixel's best class and its probability; see `rein.prediction.Prediction`.

    Args:
        outputs: (classes, h, w).
        size: (H, W) to resize them to, bilinearly.
        logits: Whether they are logits instead of scores.
        temperature: T > 0; above 1, confidence falls.

    Returns:
        trainIds, uint8 (H, W), ties go to the first class, and the probability, float32 (H, W).
    """
    best, seg_map = np.full(size, -np.inf, np.float32), np.zeros(size, np.uint8)
    for index, one in enumerate(outputs):
        one = _fit(one, size)
        seg_map[one > best] = index
        np.maximum(best, one, out=best)
    total, tiny = np.zeros(size, np.float32), np.finfo(np.float32).tiny
    for one in outputs:
        one = _fit(one, size)
        # relative to the best, so that neither powers nor exponentials overflow
        if logits:
            total += np.exp((one - best) / np.float32(temperature))
        else:
            total += (np.maximum(one, tiny) / np.maximum(best, tiny)) ** np.float32(1 / temperature)
    return seg_map, np.minimum(1 / total, 1)


def _fit(one: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize a map (h, w) to `size` (H, W) bilinearly."""
    if one.shape == tuple(size):
        return one
    return cv2.resize(one, tuple(reversed(size)), interpolation=cv2.INTER_LINEAR)


def _softmax(logits: np.ndarray) -> np.ndarray:
    """Return the softmax over the first axis."""
    exponentials = np.exp(logits - logits.max(0))
    return exponentials / exponentials.sum(0)
