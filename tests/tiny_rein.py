"""A tiny model and a batch for tests of precision, speed and devices."""

import torch
from conftest import build, tiny_model_config
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample


def tiny(**backbone):
    """Build the tiny model with an effective adapter and a head that predicts several classes."""
    torch.manual_seed(0)
    cfg = tiny_model_config()
    cfg["backbone"].update(backbone)
    model = build(cfg)
    torch.nn.init.constant_(model.backbone.reins.scale, 0.5)
    torch.nn.init.normal_(model.decode_head.cls_embed.weight)
    return model


def batch(height=64, width=64):
    """Return two images and their labels with four classes."""
    generator = torch.Generator().manual_seed(1)
    label = torch.randint(0, 4, (2, height // 16, width // 16), generator=generator)
    label = label.repeat_interleave(16, 1).repeat_interleave(16, 2)
    samples = [SegDataSample(
        gt_sem_seg=PixelData(data=one[None]),
        metainfo=dict(img_shape=(height, width), ori_shape=(height, width))) for one in label]
    return torch.randn(2, 3, height, width, generator=generator), samples
