"""Tiny segmentors as files, and their exported files beside PyTorch's predictions."""

import cv2
import numpy as np
import pytest
import torch
from conftest import build, tiny_model_config
from mmengine.config import Config

from rein import checkpoint as ckpt
from rein.api import load_segmentor
from rein.datasets.label_maps import CLASSES, PALETTE


def street(height=70, width=100, seed=0):
    """Return a seeded RGB image with structure at several scales."""
    noise = np.random.default_rng(seed).integers(0, 256, (height // 8 + 1, width // 8 + 1, 3))
    return cv2.resize(noise.astype(np.uint8), (width, height), interpolation=cv2.INTER_CUBIC)


def write_segmentor(path, model=None, resize=None, **meta):
    """Write a checkpoint that carries its config.

    Args:
        path: The file.
        model: Config of the model; default: the tiny model's.
        resize: Arguments of the test pipeline's `Resize`; default: fit 128x96.
        **meta: More of the checkpoint's `meta`.
    """
    model = model or tiny_model_config()
    resize = dict(scale=(128, 96), keep_ratio=True) if resize is None else resize
    pipeline = [
        dict(type="LoadImageFromFile"), *([dict(type="Resize", **resize)] if resize else []),
        dict(type="LoadAnnotations"), dict(type="PackSegInputs")]
    dataset = dict(type="UrbanSceneDataset", domain="citys", pipeline=pipeline)
    cfg = Config(dict(model=model, test_dataloader=dict(dataset=dataset)))
    torch.manual_seed(0)
    built = build(model)
    for name, value in built.named_parameters():
        if name.startswith("decode_head.cls_embed"):  # predicts several classes
            torch.nn.init.normal_(value)
        if "reins" in name and value.ndim > 1:  # an adapter with an effect
            torch.nn.init.normal_(value, std=0.2)
    count = built.out_channels
    meta.setdefault("dataset_meta", dict(classes=CLASSES[:count], palette=PALETTE[:count]))
    content = dict(meta=dict(cfg=cfg.pretty_text, **meta), state_dict=built.state_dict())
    return ckpt.save_file(content, path)


def agree(checkpoint, predictor, images, **options):
    """Compare the predictions of a checkpoint and of its exported file.

    Returns:
        Largest difference of scores, and share of pixels with the same class.
    """
    segmentor = load_segmentor(checkpoint, device="cpu", precision="fp32", **options)
    pairs = [(segmentor.predict(image, scores=True), predictor.predict(image, scores=True))
             for image in images]
    for ours, theirs in pairs:
        assert ours.seg_map.shape == theirs.seg_map.shape and ours.seg_map.dtype == np.uint8
        np.testing.assert_allclose(theirs.confidence, ours.confidence, atol=1e-3)
        assert theirs.shift == (  # None without statistics of features
            None if ours.shift is None else pytest.approx(ours.shift, rel=1e-4))
    assert any(len(np.unique(ours.seg_map)) > 1 for ours, _ in pairs)  # else any would pass
    return (max(float(np.abs(a.scores - b.scores).max()) for a, b in pairs),
            float(np.mean([np.mean(a.seg_map == b.seg_map) for a, b in pairs])))
