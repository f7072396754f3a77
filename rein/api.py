"""Load a trained segmentor and predict images, in a few lines of Python.

    import rein
    model = rein.load_segmentor("checkpoints/dinov2_segmentor.pth")
    result = model.predict("street.jpg")
    result.overlay(legend=True).save("street_overlay.png")
"""

import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, TypeAlias, cast, overload

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from rein.checkpoint import load_file
from rein.engine.calibration import use_calibration
from rein.engine.configs.carried import carried_config
from rein.engine.configs.reading import read_config
from rein.engine.inference import batched, build_segmentor, pack, preparation, train_ids
from rein.engine.precision import choose_precision, find_device, set_precision
from rein.engine.weights.downloads import find_segmentor
from rein.errors import UserError
from rein.images import as_rgb, as_rgb_images, is_several
from rein.models.adapters.base import switched_off
from rein.models.pyramid import Pyramid
from rein.models.segmentors.encoder_decoder import MORE_MEMORY
from rein.models.segmentors.pixels import gives_scores
from rein.prediction import Prediction
from rein.values import COUNT, PATH, SWITCH, check_value

ImageLike: TypeAlias = str | Path | Image.Image | np.ndarray | Tensor
"""A file, a PIL image, an RGB array, uint8 (H, W, 3), or an RGB tensor, uint8 (3, H, W)."""


def load_segmentor(
    source: str | Path,
    *,
    config: str | Path | None = None,
    backbone: str | Path | None = None,
    device: str | torch.device | None = None,
    precision: str = "auto",
    int8: bool = False,
    allow_other_backbone: bool = False,
) -> "Segmentor":
    """Load a trained segmentor.

    Args:
        source: A checkpoint: a merged segmentor, or the adapter and head saved by training; a
            folder with `model.safetensors`; or `hf:OWNER/NAME[/FILE]`, a repository of the Hugging
            Face Hub.
        config: A config file; default: the config that the checkpoint carries.
        backbone: Pretrained weights, if the checkpoint has none; default: the config's file.
        device: Device of the model; default: the GPU if there is one.
        precision: "auto" computes in bfloat16 on processors and GPUs with instructions for it, and
            in float32 on others. Or "fp32", "bf16", "fp16" (CUDA only).
        int8: Run the frozen backbone in int8, and all else in float32; CPU only.
        allow_other_backbone: Accept a frozen backbone that the checkpoint was not trained with.

    Returns:
        The segmentor, ready to predict.

    Raises:
        UserError: A file is missing or does not fit, or the device is missing or does
            not support the precision.
    """
    for name, value in (("source", source), ("config", config), ("backbone", backbone)):
        if value is not None or name == "source":
            check_value("load_segmentor", name, value, PATH)
    check_value("load_segmentor", "int8", int8, SWITCH)
    device = find_device(device)
    chosen = choose_precision(precision, device, int8)
    path = find_segmentor(source)
    content = load_file(path)
    cfg = read_config(config) if config else carried_config(content, source)
    if cfg is None:
        raise UserError(f"{source}: carries no config. Pass the one that it was trained with: "
                        "load_segmentor(..., config='CONFIG.py').")
    model = build_segmentor(cfg, content, source, backbone, device, allow_other_backbone, int8)
    set_precision(model, chosen)
    use_calibration(model, content, source)
    return Segmentor(model, chosen)


class Segmentor:
    """A trained segmentor that predicts images of any size.

    Images are resized like those of the config's first test dataset, and predicted as in testing,
    usually in sliding windows; results have the images' own size.

    Args:
        model: A model in evaluation mode, as built by `load_segmentor`.
        precision: Its precision: "fp32", "bf16", "fp16" or "int8".

    Raises:
        UserError: The model is another one.

    Attributes:
        model: The network.
        precision: See above.
        classes: Name of each class; positions are trainIds.
        palette: RGB of each class, uint8 range.
    """

    def __init__(self, model: nn.Module, precision: str = "fp32") -> None:
        if not hasattr(model, "dataset_meta") or not hasattr(model, "cfg"):
            raise UserError(f"Segmentor: {type(model).__name__} is no trained segmentor. Use "
                            "`rein.load_segmentor`.")
        self.model = cast(Any, model)  # nn.Module's attributes are tensors to a type checker
        self.precision = precision
        self.classes: tuple[str, ...] = tuple(self.model.dataset_meta["classes"])
        self.palette: tuple[tuple[int, ...], ...] = tuple(
            tuple(color) for color in self.model.dataset_meta["palette"])
        self._steps = preparation(self.model.cfg)
        self._lock = threading.Lock()  # a prediction switches parts of the model

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _lock=threading.Lock())  # a lock can be neither copied nor pickled

    def __repr__(self) -> str:
        backbone = type(self.model.backbone).__name__
        return (f"Segmentor({backbone}, {len(self.classes)} classes, {self.precision} on "
                f"{self.device})")

    @property
    def device(self) -> torch.device:
        """Device of the network."""
        return next(self.model.parameters()).device

    @overload
    def predict(  # type: ignore[overload-overlap]  # a str, itself a sequence, is a path
        self, images: str | Path | Image.Image | np.ndarray, *, batch_size: int = ...,
        scores: bool = ...,
    ) -> Prediction: ...

    @overload
    def predict(
        self, images: Iterable[ImageLike], *, batch_size: int = ..., scores: bool = ...,
    ) -> list[Prediction]: ...

    @overload
    def predict(
        self, images: Tensor, *, batch_size: int = ..., scores: bool = ...,
    ) -> Prediction | list[Prediction]: ...

    def predict(
        self, images: ImageLike | Iterable[ImageLike], *, batch_size: int = 4,
        scores: bool = False,
    ) -> Prediction | list[Prediction]:
        """Predict the class of each pixel, and its confidence.

        Args:
            images: One image, or a list or other iterable of images of any sizes, read as a whole
                before the first is predicted; see `ImageLike`. A tensor (B, 3, H, W) is a list of B
                images.
            batch_size: Images of one size that run together; on a GPU, they share batches of
                windows.
            scores: Keep the scores of all classes, 4 bytes per class and pixel.

        Returns:
            One prediction, or a list of predictions in the order of the images.

        Raises:
            UserError: An image is missing, does not decode or has another type or shape,
                `batch_size` is no whole number from 1, or the device's memory does not suffice for
                one image.
        """
        check_value("predict", "batch_size", batch_size, COUNT)
        if is_several(images):
            return self._predict(cast(Iterable[Any], images), batch_size, scores)
        return self._predict([images], 1, scores)[0]

    def features(self, image: ImageLike, *, adapter: bool = True) -> Pyramid:
        """Compute the feature maps of a whole image, without a head; see `extract_features`."""
        batch = batched([pack(self._steps, as_rgb(image))])
        backbone = self.model.backbone
        off = not adapter and getattr(backbone, "reins", None) is not None
        with self._as_tested(), (
                switched_off(backbone.model, backbone.reins) if off else nullcontext()):
            inputs = self.model.data_preprocessor(batch, False)["inputs"]
            return self.model.extract_feat(inputs)

    @contextmanager
    def _as_tested(self) -> Iterator[None]:
        """Compute as in testing, whatever the caller's modes and autocast are, one at a time."""
        if self.device.type == "meta":
            raise UserError("the model is on the device 'meta', which holds no values. Load it on "
                            "another one.")
        with self._lock, torch.no_grad(), torch.autocast(self.device.type, enabled=False):
            training = [module for module in self.model.modules() if module.training]
            for module in training:
                module.training = False
            try:
                yield
            finally:
                for module in training:
                    module.training = True

    def _predict(
        self, images: Iterable[Any], batch_size: int, scores: bool,
    ) -> list[Prediction]:
        """Predict images in batches of one size."""
        arrays = as_rgb_images(images)
        packed = [pack(self._steps, array) for array in arrays]
        by_size: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for index, one in enumerate(packed):
            by_size[tuple(one["inputs"].shape)].append(index)
        found: dict[int, Prediction] = {}
        for alike in by_size.values():
            for first in range(0, len(alike), batch_size):
                batch = alike[first:first + batch_size]
                samples = self._run([packed[index] for index in batch], scores)
                for index, sample in zip(batch, samples, strict=True):
                    found[index] = self._prediction(arrays[index], sample, scores)
        return [found[index] for index in range(len(arrays))]

    def _run(self, packed: list[dict[str, Any]], scores: bool) -> list[Any]:
        """Run the network on images of one size; halve the batch where memory does not suffice."""
        try:
            with self._as_tested():
                self.model.keep_confidence, self.model.keep_logits = True, scores
                try:
                    return self.model.test_step(batched(packed))
                finally:
                    self.model.keep_confidence = self.model.keep_logits = False
        except torch.OutOfMemoryError:
            if len(packed) == 1:
                height, width = packed[0]["inputs"].shape[-2:]
                raise UserError(f"{self.device} has no memory left for an image of {width} x "
                                f"{height} pixels. {MORE_MEMORY}") from None
        half = len(packed) // 2
        return self._run(packed[:half], scores) + self._run(packed[half:], scores)

    def _prediction(self, image: np.ndarray, sample: Any, scores: bool) -> Prediction:
        """Collect an image's results on the CPU."""
        kept = None
        if scores:
            outputs = sample.seg_logits.data.float()
            kept = outputs if gives_scores(self.model.decode_head) else outputs.softmax(0)
            kept = kept.cpu().numpy()
        confidence = sample.confidence.data.squeeze(0).cpu().numpy()
        return Prediction(image, train_ids(sample), confidence, kept, self.classes, self.palette,
                          sample.get("shift"))


def extract_features(
    source: str | Path | Segmentor, image: ImageLike, *, adapter: bool = True, **options: Any,
) -> Pyramid:
    """Compute the feature maps that a segmentor's head would get, refined by the adapter.

    The image is resized as for a prediction, and runs whole, not in windows.

    Args:
        source: A segmentor, or as for `load_segmentor`.
        image: The image; see `ImageLike`.
        adapter: False switches the adapter off: the features of the frozen network.
        **options: Passed to `load_segmentor`.

    Returns:
        A sequence of maps (1, C, H/4, W/4), (1, C, H/8, W/8), (1, C, H/16, W/16) and
        (1, C, H/32, W/32) on the model's device. `maps` are the same before resizing: those of a
        plain vision transformer all have the size of its patch grid. `queries` are the adapter's,
        (m, q), or None.

    Raises:
        UserError: The source or the image is missing or does not fit, or the adapter cannot be
            switched off.
    """
    model = source if isinstance(source, Segmentor) else load_segmentor(source, **options)
    return model.features(image, adapter=adapter)
