"""Segment your own images with a trained model, exactly as in testing."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmseg.registry import TRANSFORMS
from mmseg.structures import SegDataSample
from torch import nn

from rein.checkpoint import load_file, meta_of
from rein.datasets.dataset_configs import leaf_datasets, type_name
from rein.datasets.label_maps import CLASSES, PALETTE
from rein.engine.configs.building import build_model
from rein.engine.configs.reading import read_config
from rein.engine.precision import find_device
from rein.engine.weights.loading import load_for_testing
from rein.errors import UserError
from rein.images import as_rgb
from rein.models.int8 import quantize_frozen
from rein.paths import find_path
from rein.values import PATH, check_value


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
    check_value("init_segmentor", "config", config, PATH)
    check_value("init_segmentor", "checkpoint", checkpoint, PATH)
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
        UserError: The file is missing or does not decode, the array has another shape or type, or
            the model is another one.
    """
    if not hasattr(model, "cfg"):
        raise UserError(f"segment: {type(model).__name__} is no model of `init_segmentor`. A model "
                        "of `load_segmentor` has a method `predict`.")
    packed = pack(preparation(model.cfg), as_rgb(image))
    with torch.no_grad():
        sample, = model.test_step(batched([packed]))
    return train_ids(sample)


def train_ids(sample: SegDataSample) -> np.ndarray:
    """Return the predicted trainIds of a sample, uint8 (H, W)."""
    return sample.pred_sem_seg.data.squeeze(0).to(torch.uint8).cpu().numpy()


def pack(steps: Compose, image: np.ndarray) -> dict[str, Any]:
    """Prepare an RGB image (H, W, 3) by the steps of `preparation`: `inputs`, `data_samples`.

    Raises:
        UserError: Resizing leaves no pixel of a side.
    """
    try:
        # pipelines expect BGR; the model's data_preprocessor converts back to RGB
        return steps(dict(img=np.ascontiguousarray(image[..., ::-1])))
    except cv2.error as error:
        height, width = image.shape[:2]
        raise UserError(f"the image of {width} x {height} pixels cannot be resized for the model; "
                        "is it too narrow? Crop or pad it.") from error


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
