"""mmseg's encoder-decoder with less copying in sliding windows and postprocessing.

Source: mmseg's `EncoderDecoder` (https://github.com/open-mmlab/mmsegmentation), which gives the
same results.
"""

import logging
import math
from collections.abc import Mapping

import torch
from mmengine.config import ConfigDict
from mmengine.logging import print_log
from mmengine.structures import PixelData
from mmseg.models import EncoderDecoder as MMSegEncoderDecoder
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from rein.errors import UserError
from rein.models.adapters.author_checks import queries_of
from rein.models.pyramid import Pyramid
from rein.models.segmentors.pixels import (
    Pixels,
    confident_argmax,
    gives_scores,
    resized_argmax,
)
from rein.windows import window_starts

BYTES_PER_PIXEL = 4096
"""Memory reserved per pixel of a window; ViT-L and its head took 1500 in float32 on a CPU."""

AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}
"""Data types of autocast; fp16 is for prediction on GPUs alone."""

MORE_MEMORY = "End other programs on the device, use a smaller precision, or run on the CPU."
"""Advice where memory does not suffice for the smallest step."""


@MODELS.register_module(force=True)
class EncoderDecoder(MMSegEncoderDecoder):
    """A backbone and a head; replaces mmseg's class of this name, which published configs use.

    `test_cfg` has the mode "whole" by default. It may set `window_batch`, the number of windows
    that run at once. By default a CPU runs one at a time: one keeps it busy, and each further
    window takes memory (0.4 GB for 512x512, ViT-L). A GPU runs as many as fit into half of its
    total memory. Free memory is not used for this, since the number affects the last bits of a
    result.

    Unless `data_preprocessor` has a `mean`, the backbone's own mean and standard deviation apply.

    Args:
        precision (str): "fp32", or "bf16": backbone and decoder compute in bfloat16 where torch's
            autocast allows it, losses and class scores in float32; weights stay float32.
        **kwargs: As for mmseg's `EncoderDecoder`.

    Raises:
        UserError: The backbone's maps or queries do not fit the head, or a backbone that trains
            has a `frozen_dtype`.

    Attributes:
        freezes_backbone: Whether this class freezes the whole backbone.
        keep_logits: Whether `predict` stores `seg_logits` at the image's original size in each
            sample, as mmseg does. Averaging over scales and flips needs them; otherwise they only
            cost memory and time.
        keep_confidence: Whether `predict` stores each pixel's `confidence` in each sample.
        temperature: Temperature of the confidence; see `confident_argmax`.
        keep_features: Whether `predict` stores `features` in each sample's metainfo: the
            backbone's last map, averaged over its places and the windows, float32 NumPy (C,).
        statistics: `rein.evaluation.shift.FeatureStatistics`, or None. With them, `predict` also
            stores the image's `shift`.
    """

    freezes_backbone = False
    keep_logits = True
    keep_confidence = False
    temperature = 1.0
    keep_features = False
    statistics = None

    def __init__(self, precision: str = "fp32", **kwargs) -> None:
        test_cfg = ConfigDict(mode="whole")
        test_cfg.update(kwargs.pop("test_cfg", None) or {})
        super().__init__(**kwargs, test_cfg=test_cfg)
        if precision not in ("fp32", "bf16"):
            raise ValueError(f"precision={precision!r}: expected 'fp32' or 'bf16'.")
        self.precision = precision
        self._features: list[Tensor] = []  # of the windows so far
        _check_parts(self.backbone, self.decode_head, self.with_neck)
        if not self.freezes_backbone:
            _check_dtype(self.backbone)
        self._derive_normalisation(kwargs.get("data_preprocessor"))
        if self.num_classes == 1:
            # mmseg compares a single channel with the head's threshold, which Mask2Former lacks;
            # the argmax over one class is that class
            self.decode_head.threshold = math.inf
            print_log("one class: every pixel will be predicted as that class. To find it, train "
                      "a second class for all other pixels.", "current", logging.WARNING)

    def _derive_normalisation(self, given: Mapping | None) -> None:
        """Normalise images as the network expects unless the config names a mean.

        Raises:
            UserError: The config leaves the mean to a network without one.
        """
        if not isinstance(given, Mapping) or given.get("mean") is not None:
            return
        derived = getattr(self.backbone, "normalisation", None)
        if derived:
            self.data_preprocessor = MODELS.build({**given, **derived})
        elif "mean" in given:
            raise UserError(f"data_preprocessor.mean is None, but {type(self.backbone).__name__} "
                            "has no mean of its own. Set mean and std.")

    def forward(self, inputs: Tensor, data_samples: list | None = None, mode: str = "tensor"):
        """Compute losses, predictions or logits, as in mmseg, in the model's precision."""
        if self.precision == "fp32":
            return super().forward(inputs, data_samples, mode)
        with torch.autocast(inputs.device.type, AUTOCAST[self.precision]):
            return super().forward(inputs, data_samples, mode)

    def test_step(self, data: dict) -> list:
        """Predict a batch; images of different sizes are predicted one by one.

        Args:
            data: `inputs`, images (3, H, W), and `data_samples`, as collated by mmengine.

        Returns:
            One sample per image, in order.
        """
        if len({tuple(image.shape) for image in data["inputs"]}) == 1:
            return super().test_step(data)
        return [sample for i in range(len(data["inputs"]))
                for sample in super(EncoderDecoder, self).test_step(
                    {key: values[i:i + 1] for key, values in data.items()})]

    def val_step(self, data: dict) -> list:
        """Predict a batch, as in testing."""
        return self.test_step(data)

    def extract_feat(self, inputs: Tensor) -> Pyramid:
        """Compute the features of images (B, 3, H, W); queries bypass the neck, if any.

        Returns:
            The feature pyramid for the head.
        """
        return self._through_neck(self.backbone(inputs))

    def _through_neck(self, feats: Pyramid | tuple[Tensor, ...]) -> Pyramid:
        return Pyramid.of(self.neck(feats), like=feats) if self.with_neck else feats

    @property
    def _takes_features(self) -> bool:
        return self.keep_features or self.statistics is not None

    def encode_decode(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Predict windows (n, 3, h, w); returns (n, classes, h, w)."""
        outputs, features = self.decode_with_features(inputs, batch_img_metas)
        if features is not None:
            self._features.append(features)
        return outputs

    def decode_with_features(
        self, inputs: Tensor, batch_img_metas: list[dict],
    ) -> tuple[Tensor, Tensor | None]:
        """Predict windows (n, 3, h, w): (n, classes, h, w), and features, float32 (n, C), if taken.

        The features are the backbone's last map, averaged over its places.
        """
        feats = self.backbone(inputs)
        outputs = self.decode_head.predict(
            self._through_neck(feats), batch_img_metas, self.test_cfg)
        if not self._takes_features:
            return outputs, None
        return outputs, Pyramid.of(feats).maps[-1].detach().float().mean((2, 3))

    def predict(self, inputs: Tensor, data_samples: list | None = None) -> list:
        """Predict images (B, 3, H, W), as in mmseg; see `postprocess_result`."""
        self._features = []
        samples = super().predict(inputs, data_samples)
        if self._takes_features:
            # the windows of an image follow each other
            windows = torch.cat(self._features).unflatten(0, (len(inputs), -1))
            for features, sample in zip(windows.mean(1).cpu().numpy(), samples, strict=True):
                sample.set_metainfo(dict(features=features))
                if self.statistics is not None:
                    sample.set_metainfo(dict(shift=self.statistics.shift(features)))
        return samples

    def slide_inference(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Predict in overlapping windows of `test_cfg.crop_size`, `test_cfg.stride` apart.

        The last window of a row or column is shifted back to end at the border. An image smaller
        than a window is predicted as one smaller window.

        Args:
            inputs: (B, 3, H, W), normalised.
            batch_img_metas: Unused; part of mmseg's interface.

        Returns:
            (B, classes, H, W), the mean over the windows that cover each pixel.
        """
        size = tuple(inputs.shape[-2:])
        window = tuple(map(min, self.test_cfg.crop_size, size))
        tops, lefts = map(window_starts, size, window, self.test_cfg.stride)
        corners = [(top, left) for top in tops for left in lefts]
        views = [
            (image, slice(None), slice(top, top + window[0]), slice(left, left + window[1]))
            for image in range(len(inputs)) for top, left in corners]
        logits = inputs.new_zeros((len(inputs), self.out_channels, *size))
        while views:
            now = views[:self._window_batch(window, inputs.device)]
            decoded = self._decode_windows(torch.stack([inputs[view] for view in now]))
            if decoded is None:
                continue  # in smaller batches
            for view, part in zip(now, decoded, strict=True):
                logits[view] += part
            del views[:len(now)]
        rows, columns = (
            _cover(starts, length, total).to(logits)
            for starts, length, total in zip((tops, lefts), window, size, strict=True))
        return logits.div_(rows[:, None] * columns)

    def _window_batch(self, window: tuple[int, int], device: torch.device) -> int:
        """Return how many windows (H, W) run at once."""
        given = self.test_cfg.get("window_batch")
        if given:
            return given
        if device.type != "cuda":
            return 1
        memory = torch.cuda.get_device_properties(device).total_memory
        return max(memory // 2 // (BYTES_PER_PIXEL * window[0] * window[1]), 1)

    def _decode_windows(self, crops: Tensor) -> Tensor | None:
        """Predict windows (n, 3, h, w); if memory does not suffice, halve `window_batch` for good.

        Returns:
            (n, classes, h, w), or None after halving.

        Raises:
            UserError: Memory does not suffice for one window.
        """
        size = tuple(crops.shape[-2:])
        try:
            return self.encode_decode(crops, [dict(img_shape=size)] * len(crops))
        except torch.OutOfMemoryError:
            if len(crops) == 1:
                raise UserError(f"{crops.device} has no memory left for one window of {size[1]} x "
                                f"{size[0]} pixels. {MORE_MEMORY}") from None
        # after the except block, whose traceback keeps the windows' features alive
        if crops.is_cuda:
            torch.cuda.empty_cache()
        self.test_cfg.window_batch = len(crops) // 2
        print_log(f"{crops.device} has no memory left for {len(crops)} windows at once: continuing "
                  f"with {len(crops) // 2}.", "current", logging.WARNING)
        return None

    def postprocess_result(self, seg_logits: Tensor, data_samples: list | None = None) -> list:
        """Resize predictions to the images' original sizes.

        Args:
            seg_logits: (B, classes, H, W), at the size of the network's input.
            data_samples: One per image; default: new ones, at the input's size.

        Returns:
            The samples with `pred_sem_seg`, int64 (1, H, W), and, if `keep_logits` is set,
            `seg_logits` (classes, H, W), and, if `keep_confidence` is set, `confidence`, float32
            (1, H, W).
        """
        if self.keep_logits or data_samples is None or self.out_channels == 1:
            samples = super().postprocess_result(seg_logits, data_samples)
            for sample in samples:
                sample.pred_sem_seg.data = sample.pred_sem_seg.data.long()
                if self.keep_confidence:
                    found = self._pixels(sample, sample.seg_logits.data)
                    sample.set_data(dict(confidence=PixelData(data=found.confidence[None])))
                if not self.keep_logits and data_samples is not None:
                    del sample.seg_logits
            return samples
        for logits, sample in zip(seg_logits, data_samples, strict=True):
            logits = _as_loaded(logits, sample.metainfo)
            if self.keep_confidence:
                seg_map, confidence = self._pixels(sample, logits)
                sample.set_data(dict(confidence=PixelData(data=confidence[None])))
            else:
                seg_map = resized_argmax(logits, sample.ori_shape, self.align_corners)
            sample.set_data(dict(pred_sem_seg=PixelData(data=seg_map[None])))
        return data_samples

    def _pixels(self, sample: SegDataSample, logits: Tensor) -> Pixels:
        """Find classes and confidence at the image's original size."""
        return confident_argmax(
            logits, sample.metainfo.get("ori_shape", logits.shape[-2:]),
            gives_scores(self.decode_head), self.temperature, self.align_corners)


def _check_parts(backbone: nn.Module, head: nn.Module, with_neck: bool) -> None:
    """Raise if our backbone's maps or queries do not fit a Mask2Former head."""
    if not hasattr(head, "linked_queries") or not hasattr(backbone, "reins"):
        return
    widths = backbone.embed_dims
    if not isinstance(widths, list):
        widths = [widths] * len(backbone.out_indices)
    if head.in_channels != widths and not with_neck:
        raise UserError(f"decode_head.in_channels is {head.in_channels}, but the backbone's maps "
                        f"have {widths} channels. Correct one of them.")
    if not head.linked_queries:
        return
    with torch.no_grad():
        queries = None if backbone.reins is None else queries_of(backbone.reins)
    if queries is None:
        raise UserError("decode_head.linked_queries is set, but the backbone has no adapter with "
                        "queries. Set linked_queries=False, or link_token_to_query=True in the "
                        "adapter's config.")
    wanted = head.num_queries, head.feat_channels
    if tuple(queries.shape[-2:]) != wanted:
        raise UserError(
            f"the adapter gives {queries.shape[-2]} queries of {queries.shape[-1]} channels, but "
            f"decode_head has num_queries={wanted[0]}, feat_channels={wanted[1]}. Let token_length "
            "equal num_queries, and query_dims feat_channels.")


def _check_dtype(backbone: nn.Module) -> None:
    """Raise if our backbone trains wholly, but is to be kept in another type than float32."""
    dtype = getattr(backbone, "frozen_dtype", torch.float32)
    if dtype is not torch.float32 and not backbone.frozen:
        raise UserError(
            "backbone.frozen_dtype='bf16' is for a frozen network, but all of "
            f"{type(backbone).__name__} trains. Remove it; model.precision='bf16' computes in "
            "bfloat16 with float32 weights.")


def _cover(starts: list[int], window: int, size: int) -> Tensor:
    """Count the windows that cover each position along one side: (size,)."""
    counts = torch.zeros(size)
    for start in starts:
        counts[start:start + window] += 1
    return counts


def _as_loaded(logits: Tensor, meta: dict) -> Tensor:
    """Undo an image's padding and flipping in its logits (classes, H, W)."""
    left, right, top, bottom = meta.get("img_padding_size", meta.get("padding_size", (0,) * 4))
    height, width = logits.shape[-2:]
    logits = logits[:, top:height - bottom, left:width - right]
    if meta.get("flip"):
        return logits.flip(-1 if meta["flip_direction"] == "horizontal" else -2)
    return logits
