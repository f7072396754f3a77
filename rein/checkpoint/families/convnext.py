"""ConvNeXt (Liu et al., arXiv:2201.03545).

Sources of names: mmpretrain's `ConvNeXt`, whose names the published type `ReinsConvNeXt` has;
facebookresearch/ConvNeXt; timm's `ConvNeXt`.
"""

from rein.checkpoint.families.base import Family, Naming, Rename

_DOWNSAMPLING = (
    Rename("downsample_layers.0.#.*", "stem.#.*"),
    Rename("downsample_layers.#.#.*", "stages.#.downsample.#.*"),
)
_BLOCK = "stages.#.blocks.#."

MMPRETRAIN = Naming(
    publisher="mmpretrain",
    prefix=r"(backbone\.)?",
    marks=("downsample_layers.0.0.weight", "stages.0.0.depthwise_conv.weight"),
    renames=(
        *_DOWNSAMPLING,
        Rename("stages.#.#.depthwise_conv.*", f"{_BLOCK}conv_dw.*"),
        Rename("stages.#.#.pointwise_conv1.*", f"{_BLOCK}mlp.fc1.*"),
        Rename("stages.#.#.pointwise_conv2.*", f"{_BLOCK}mlp.fc2.*"),
        Rename("stages.#.#.norm.*", f"{_BLOCK}norm.*"),
        Rename("stages.#.#.gamma", f"{_BLOCK}gamma"),
        Rename("norm3.*", "head.norm.*"),
    ),
)

META = Naming(
    publisher="ConvNeXt",
    marks=("downsample_layers.0.0.weight", "stages.0.0.dwconv.weight"),
    renames=(
        *_DOWNSAMPLING,
        Rename("stages.#.#.dwconv.*", f"{_BLOCK}conv_dw.*"),
        Rename("stages.#.#.pwconv1.*", f"{_BLOCK}mlp.fc1.*"),
        Rename("stages.#.#.pwconv2.*", f"{_BLOCK}mlp.fc2.*"),
        Rename("stages.#.#.norm.*", f"{_BLOCK}norm.*"),
        Rename("stages.#.#.gamma", f"{_BLOCK}gamma"),
        Rename("norm.*", "head.norm.*"),
        Rename("norms.3.*", "head.norm.*"),
        Rename("head.*", "head.fc.*"),
    ),
)

CONVNEXT = Family(
    name="ConvNeXt",
    timm=r"^convnext",
    namings=(MMPRETRAIN, META),
    published=MMPRETRAIN,
    marks=("stem.0.weight", "stages.0.blocks.0.conv_dw.weight"),
    resampled={},
    unused={"head.*": "classifier and its norm", "norm3.*": "final norm; not read by any map"},
)
