"""Train and predict with each kind of head on frozen DINOv2-L, against Mask2Former."""

import torch

from benchmarks.paired import Row, compare
from benchmarks.training import SIZE, Step

MASK2FORMER = "configs/frozen_vfms/dinov2-L_mask2former.py"
HEADS = {
    "linear head on the last map": "linear", "linear head on four maps": "linear4",
    "Semantic FPN": "semfpn", "encoder-only mask head": "eomt",
    "encoder-only mask head with LoRA": "eomt_lora"}


def run(repeats: int) -> list[Row]:
    """Compare a training step and a prediction of one image of 512x512 pixels."""
    rows, reference = [], Step(config=MASK2FORMER)
    for name, stem in HEADS.items():
        step = Step(config=f"configs/heads/{stem}_dinov2_512x512_bs1x4.py")
        rows += [
            compare(f"prediction, {name}", lambda step=step: predict(step),
                    lambda: predict(reference), repeats),
            compare(f"training step, {name}", step, reference, repeats)]
    return rows


@torch.no_grad()
def predict(step: Step) -> torch.Tensor:
    """Predict the images of a step, on the host: (B, classes, H, W)."""
    model = step.model.eval()
    scores = model.encode_decode(step.images, [dict(img_shape=(SIZE, SIZE))] * len(step.images))
    model.train()
    return scores.cpu()
