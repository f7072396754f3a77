"""The Mask2Former head against mmdet's own: resizing, forward, losses and backward."""

import copy

import torch
from mmengine.registry import DefaultScope
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from benchmarks.paired import Row, compare
from benchmarks.stock import CONFIG
from rein.engine.configs.reading import load_config
from rein.models.pyramid import Pyramid


def run(repeats: int) -> list[Row]:
    """Compare the main config's head on 512x512 pixels, one image on a CPU, four on a GPU."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    batch = 4 if device == "cuda" else 1
    ours, stock = build_heads(load_config(CONFIG).model.decode_head, device)
    inputs, samples = make_batch(batch, 512, device)
    metas = [dict(img_shape=(512, 512), pad_shape=(512, 512))] * batch

    def train(head):
        head.zero_grad()
        sum(head.loss(inputs, samples, None).values()).backward()

    @torch.no_grad()
    def test(head):
        head.predict(inputs, metas, None)

    return [
        compare(f"head, training, batch {batch}", lambda: train(ours), lambda: train(stock),
                repeats, goal=2.5),
        compare(f"head, prediction, batch {batch}", lambda: test(ours), lambda: test(stock),
                repeats),
    ]


def build_heads(cfg, device):
    """Build this project's head and the stock head with the same weights."""
    torch.manual_seed(0)
    heads = []
    with DefaultScope.overwrite_default_scope("mmseg"):
        for kind in ("ReinMask2FormerHead", "StockHead"):
            heads.append(MODELS.build(dict(copy.deepcopy(cfg), type=kind)).to(device))
    heads[0].init_weights()
    heads[1].load_state_dict(heads[0].state_dict())
    return heads


def make_batch(batch: int, size: int, device, channels: int = 1024, queries: int = 100):
    """Return random features with queries, and labels."""
    grid = size // 16
    query = torch.randn(queries, 256, device=device, requires_grad=True)
    maps = Pyramid(
        [torch.randn(batch, channels, grid, grid, device=device, requires_grad=True)
         for _ in range(4)],
        [(size // stride, size // stride) for stride in (4, 8, 16, 32)], query)
    return maps, labelled_samples(batch, size, device)


def labelled_samples(batch: int, size: int, device) -> list[SegDataSample]:
    """Return labels of a dozen classes in blocks."""
    samples = []
    for i in range(batch):
        coarse = torch.randint(0, 12, (size // 32, size // 32),
                               generator=torch.Generator().manual_seed(i))
        label = coarse.repeat_interleave(32, 0).repeat_interleave(32, 1).to(device)
        samples.append(SegDataSample(
            gt_sem_seg=PixelData(data=label[None]), metainfo=dict(img_shape=(size, size))))
    return samples
