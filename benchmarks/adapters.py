"""Train and predict with each adapter, against the same network without one."""

import torch

from benchmarks.heads import against_frozen
from benchmarks.paired import Row

NAMES = {
    "lora": "LoRA", "dora": "DoRA", "soma": "SoMA", "vpt": "VPT", "adaptformer": "AdaptFormer",
    "bitfit": "BitFit", "norm_tuning": "norms"}


def run(repeats: int) -> list[Row]:
    """Compare training steps and predictions of one image: 256x256 of the toy, 512x512 on a GPU."""
    rein, full, folder = (
        ("dinov2/rein_dinov2_mask2former_512x512_bs1x4", "dinov2/dinov2_mask2former_512x512_bs1x4",
         "peft/{}_dinov2_mask2former_512x512_bs1x4") if torch.cuda.is_available() else
        ("toy/rein_toy_vit_mask2former_256x256", "toy/toy_vit_mask2former_256x256",
         "toy/{}_toy_vit_mask2former_256x256"))
    configs = {name: folder.format(stem) for stem, name in NAMES.items()}
    return against_frozen({"Rein": rein, **configs, "full fine-tuning": full}, repeats)
