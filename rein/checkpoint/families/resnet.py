"""ResNet (He et al., arXiv:1512.03385), also with the deep stem of the published `ReinsResNetV1c`.

Sources of names: mmpretrain, torchvision and timm, whose names are the same but for the stem.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from rein.checkpoint.families.base import Family, Naming, Rename
from rein.checkpoint.io import StateDict

PUBLISHED = Naming(
    publisher="mmpretrain",
    marks=("stem.0.weight", "stem.7.weight", "layer1.0.conv1.weight"),
    renames=(Rename("stem.7.*", "bn1.*"), Rename("stem.#.*", "conv1.#.*")),
)


def count_batches(weights: StateDict, expected: Mapping[str, Tensor]) -> StateDict:
    """Add the counters of batch norms, which old files lack and evaluation does not read."""
    return weights | {
        name: torch.zeros((), dtype=torch.long) for name in expected
        if name.endswith(".num_batches_tracked") and name not in weights}


RESNET = Family(
    name="ResNet",
    timm=r"^(wide_)?resne(x)?t\d+",
    namings=(PUBLISHED,),
    published=PUBLISHED,
    marks=("bn1.weight", "layer1.0.conv1.weight", "layer4.0.conv1.weight"),
    stages="layer#.#.bn3.weight",
    sizes={(2048, 16): "50", (2048, 33): "101", (2048, 50): "152"},
    resampled={},
    unused={"fc.*": "classifier"},
    adapt=count_batches,
)
