"""Predict a frame in sliding windows, in float32 and faster types, against the stock model."""

import copy
from collections.abc import Callable

import torch
from mmseg.structures import SegDataSample
from torch import nn

from benchmarks.paired import Row, compare
from benchmarks.stock import CONFIG, build_model, stock_model
from rein.engine.configs.reading import load_config
from rein.engine.precision import computes_in_bf16, find_device, set_precision
from rein.models.int8 import quantize_frozen

FULL = (1024, 2048)
"""H and W of a frame of Cityscapes."""


def run(repeats: int) -> list[Row]:
    """Compare the main config's prediction of a frame: 1024x512 on a CPU, 2048x1024 on a GPU.

    Both predict classes at 2048x1024. On a CPU this is the protocol `rein`, on a GPU `full`.
    """
    device = find_device()
    gpu = device.type == "cuda"
    height, width = FULL if gpu else (512, 1024)
    stock, ours = build_models(device)
    frame = torch.randn(1, 3, height, width, device=device)
    what = f"slide inference, frame of {width}x{height}"
    reference = predict(stock, frame)
    rows = [compare(f"{what}, float32", predict(ours, frame), reference, repeats,
                    goal=None if gpu else 1.25)]
    if not gpu:
        faster = predict(quantize_frozen(copy.deepcopy(ours)), frame)
        rows.append(compare(f"{what}, int8 against float32", faster, reference, repeats, goal=2))
    if computes_in_bf16(device):
        set_precision(ours, "bf16")
        rows.append(compare(f"{what}, bfloat16 against float32", predict(ours, frame), reference,
                            repeats, goal=4 if gpu else 3))
    return rows


def build_models(device: torch.device) -> tuple[nn.Module, nn.Module]:
    """Build the reference and this project's model with the same random weights."""
    cfg = load_config(CONFIG).model
    cfg.backbone.init_cfg = None
    torch.manual_seed(0)
    stock = stock_model(cfg)
    ours = build_model(cfg)
    ours.load_state_dict(stock.state_dict())
    ours.keep_logits = False
    return stock.to(device).eval(), ours.to(device).eval()


def predict(model: nn.Module, frame: torch.Tensor) -> Callable[[], torch.Tensor]:
    """Return a function that predicts a frame's classes at full size, on the host."""

    @torch.no_grad()
    def run_once() -> torch.Tensor:
        sample = SegDataSample(metainfo=dict(img_shape=frame.shape[-2:], ori_shape=FULL))
        return model(frame, [sample], mode="predict")[0].pred_sem_seg.data.cpu()

    return run_once
