"""Train and predict with each kind of head on a frozen network, against Mask2Former."""

import torch

from benchmarks.paired import Row, compare
from benchmarks.training import Step

NAMES = {
    "linear": "linear head on the last map", "linear4": "linear head on four maps",
    "semfpn": "Semantic FPN", "eomt": "encoder-only mask head",
    "eomt_lora": "encoder-only mask head with LoRA"}


def run(repeats: int) -> list[Row]:
    """Compare training steps and predictions of one image: 256x256 of the toy, 512x512 on a GPU."""
    folder = ("heads/{}_dinov2_512x512_bs1x4" if torch.cuda.is_available()
              else "toy/{}_toy_vit_256x256")
    return against_frozen({name: folder.format(stem) for stem, name in NAMES.items()}, repeats)


def against_frozen(configs: dict[str, str], repeats: int) -> list[Row]:
    """Compare networks with Mask2Former on the same frozen network, DINOv2-L or the toy's.

    Args:
        configs: Config of each name, without folder and ending.
        repeats: Pairs to time.
    """
    frozen, size, unit = (
        ("frozen_vfms/dinov2-L_mask2former", 512, "DINOv2-L") if torch.cuda.is_available()
        else ("toy/frozen_toy_vit_mask2former_256x256", 256, "the toy ViT"))
    rows, reference = [], _step(frozen, size)
    for name, config in configs.items():
        step = _step(config, size)
        rows += [
            compare(f"training step, {name}, {unit}", step, reference, repeats, "ms", 1000),
            compare(f"prediction, {name}, {unit}", lambda step=step: _predict(step),
                    lambda: _predict(reference), repeats, "ms", 1000)]
    return rows


def _step(config: str, size: int) -> Step:
    return Step(config=f"configs/{config}.py", size=size)


@torch.no_grad()
def _predict(step: Step) -> torch.Tensor:
    """Predict the images of a step, on the host: (B, classes, H, W)."""
    model = step.model.eval()
    size = tuple(step.images.shape[-2:])
    scores = model.encode_decode(step.images, [dict(img_shape=size)] * len(step.images))
    model.train()
    return scores.cpu()
