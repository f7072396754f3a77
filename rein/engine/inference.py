"""Segment your own images with a trained model, exactly as in testing."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import mmcv
import numpy as np
import torch
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmseg.registry import TRANSFORMS
from mmseg.structures import SegDataSample
from PIL import Image, ImageOps
from torch import Tensor, nn

from rein.checkpoint import load_file, meta_of
from rein.datasets.dataset_configs import leaf_datasets, type_name
from rein.datasets.label_maps import CLASSES, PALETTE
from rein.engine.config import read_config
from rein.engine.paths import find_path
from rein.engine.precision import find_device
from rein.engine.registration import build_model
from rein.engine.weights import load_for_testing
from rein.errors import UserError
from rein.models.int8 import quantize_frozen


def init_segmentor(
    config: str | Path,
    checkpoint: str | Path,
    backbone: str | Path | None = None,
    device: str | torch.device | None = None,
    allow_other_backbone: bool = False,
    int8: bool = False,
) -> nn.Module:
    """Build a segmentor and load all its weights.

    Args:
        config: A config file, or a checkpoint that carries its config (read as data).
        checkpoint: A merged segmentor, or the adapter and head saved by training.
        backbone: Pretrained weights, if the checkpoint has none; default: the config's file.
        device: Device of the model; default: the GPU if there is one.
        allow_other_backbone: Accept a frozen backbone that the checkpoint was not trained with.
        int8: Run the frozen backbone in int8; CPU only. Faster, with a quarter of its memory;
            fewer than one pixel in a hundred changes.

    Returns:
        The model in evaluation mode, with attributes `cfg`, the config, and `dataset_meta`, a dict
        with `classes` and their RGB `palette`. It returns only classes; set `keep_logits = True`
        to get `seg_logits` as well.

    Raises:
        UserError: A file is missing or does not fit, or `int8` is not supported here.
    """
    cfg = read_config(config)
    content = load_file(find_path(checkpoint))
    return build_segmentor(cfg, content, checkpoint, backbone, device, allow_other_backbone, int8)


def build_segmentor(
    cfg: Config,
    content: Mapping[str, Any],
    source: str | Path,
    backbone: str | Path | None = None,
    device: str | torch.device | None = None,
    allow_other_backbone: bool = False,
    int8: bool = False,
) -> nn.Module:
    """Build a config's model and load its weights; arguments and result as for `init_segmentor`.

    Args:
        cfg: The whole config.
        content: Result of `load_file(source)`.
        source: The checkpoint, named in messages.
        backbone: Pretrained weights, if the checkpoint has none; default: the config's file.
        device: Device of the model; default: the GPU if there is one.
        allow_other_backbone: Accept a frozen backbone that the checkpoint was not trained with.
        int8: Run the frozen backbone in int8; CPU only.
    """
    model = build_model(cfg.model)
    load_for_testing(model, content, source, backbone, allow_other_backbone)
    meta = meta_of(content).get("dataset_meta") or {}
    model.cfg, model.keep_logits = cfg, False
    model.dataset_meta = dict(
        classes=meta.get("classes", CLASSES), palette=meta.get("palette", PALETTE))
    model.to(find_device(device)).eval()
    return quantize_frozen(model) if int8 else model


def read_image(path: str | Path) -> np.ndarray:
    """Read an image in any format that OpenCV decodes, rotated according to its EXIF data.

    Returns:
        RGB uint8 (H, W, 3); grey images get three equal channels, transparency is dropped.

    Raises:
        UserError: The file is missing or does not decode.
    """
    found = find_path(path)
    if not Path(found).is_file():
        raise UserError(f"{path}: no such image. Check the path.")
    try:
        return mmcv.imread(found, channel_order="rgb")
    except Exception as error:  # each decoder raises its own types
        raise UserError(f"{path}: the image does not decode. It may be truncated or not an image: "
                        "copy or download it again.") from error


def as_rgb(image: Any) -> np.ndarray:
    """Return an image as RGB uint8 (H, W, 3).

    Args:
        image: A file, a PIL image, an RGB array, uint8 (H, W, 3), or a tensor, uint8 (3, H, W).
            Files and PIL images are rotated according to their EXIF data.

    Raises:
        UserError: The file is missing or does not decode, or the image has another type or shape.
    """
    if isinstance(image, str | Path):
        return read_image(image)
    if isinstance(image, Image.Image):
        if image.mode[0] in "IF":
            raise UserError(f"the PIL image has mode {image.mode!r}; expected 8 bits per channel, "
                            "such as 'RGB' or 'L'. Scale its values to [0, 255].")
        return np.array(ImageOps.exif_transpose(image).convert("RGB"))
    if isinstance(image, Tensor):
        if image.dtype != torch.uint8 or image.ndim != 3 or len(image) != 3 or not image.numel():
            raise UserError(f"the tensor has shape {tuple(image.shape)} and type {image.dtype}; "
                            "expected RGB, uint8 (3, H, W), values in [0, 255].")
        return image.permute(1, 2, 0).cpu().numpy()
    if not isinstance(image, np.ndarray):
        raise UserError(f"an image of type {type(image).__name__}; expected a path, a PIL image, "
                        "an RGB array (H, W, 3) or an RGB tensor (3, H, W), both uint8.")
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[-1] != 3 or not image.size:
        raise UserError(f"the image has shape {image.shape} and type {image.dtype}; expected RGB, "
                        "uint8 (H, W, 3), as returned by `read_image`.")
    return image


def segment(model: nn.Module, image: str | Path | np.ndarray) -> np.ndarray:
    """Predict the class of each pixel of an image.

    The image is resized like the config's first test dataset, and the prediction is resized back
    to the original size. Without a test dataset in the config, nothing is resized. Corruptions of
    the dataset (Cityscapes-C) are left out.

    Args:
        model: A model from `init_segmentor`.
        image: A file, an RGB uint8 array (H, W, 3) of any size, or as for `as_rgb`.

    Returns:
        trainIds, uint8 (H, W), which are positions in `model.dataset_meta["classes"]`.

    Raises:
        UserError: The file is missing or does not decode, or the array has another shape or type.
    """
    packed = pack(preparation(model.cfg), as_rgb(image))
    with torch.no_grad():
        sample, = model.test_step(batched([packed]))
    return train_ids(sample)


def train_ids(sample: SegDataSample) -> np.ndarray:
    """Return the predicted trainIds of a sample, uint8 (H, W)."""
    return sample.pred_sem_seg.data.squeeze(0).to(torch.uint8).cpu().numpy()


def pack(steps: Compose, image: np.ndarray) -> dict[str, Any]:
    """Prepare an RGB image (H, W, 3) by the steps of `preparation`: `inputs`, `data_samples`."""
    # pipelines expect BGR; the model's data_preprocessor converts back to RGB
    return steps(dict(img=np.ascontiguousarray(image[..., ::-1])))


def batched(packed: Sequence[Mapping[str, Any]]) -> dict[str, list]:
    """Join packed images to a batch for `test_step`."""
    return {key: [one[key] for one in packed] for key in packed[0]}


def preparation(cfg: Config) -> Compose:
    """Build the first test dataset's pipeline for images in memory: no labels, no corruption."""
    dataset = leaf_datasets(cfg.get("test_dataloader", {}).get("dataset", {}))[0]
    steps = [dict(type="LoadImageFromNDArray")]
    for step in dataset.get("pipeline", [dict(type="PackSegInputs")]):
        if isinstance(step.get("scale"), list):  # from JSON, which has no tuples
            step = dict(step, scale=tuple(step["scale"]))
        kind = type_name(step)
        if not kind.startswith("Load") and kind != "Corrupt":
            steps.append(step)
    with DefaultScope.overwrite_default_scope("mmseg"):
        return Compose([TRANSFORMS.build(step) for step in steps])
