"""ConvNeXt (Liu et al., arXiv:2201.03545), V2, and DINOv3's ConvNeXt.

Sources of names: mmpretrain, which the published `ReinsConvNeXt` follows; facebookresearch/ConvNeXt
and dinov3; timm's ConvNeXt; Hugging Face's `ConvNextModel` and `DINOv3ConvNextModel`.
"""

from collections.abc import Mapping

from torch import Tensor

from rein.checkpoint.families.base import CLASSIFIER, Family, Naming, Rename
from rein.checkpoint.io import StateDict

_BLOCK = "stages.#.blocks.#."
_STEM = (
    Rename("downsample_layers.0.#.*", "stem.#.*"),
    Rename("downsample_layers.#.#.*", "stages.#.downsample.#.*"),
)
PUBLISHED = Naming(
    publisher="mmpretrain",
    marks=("downsample_layers.0.0.weight", "stages.0.0.depthwise_conv.weight"),
    renames=(
        *_STEM,
        Rename("stages.#.#.depthwise_conv.*", f"{_BLOCK}conv_dw.*"),
        Rename("stages.#.#.pointwise_conv#.*", f"{_BLOCK}mlp.fc#.*"),
        Rename("stages.#.#.grn.gamma", f"{_BLOCK}mlp.grn.weight"),
        Rename("stages.#.#.grn.beta", f"{_BLOCK}mlp.grn.bias"),
        Rename("stages.#.#.*", f"{_BLOCK}*"),
    ),
)
META = Naming(
    publisher="Meta",
    marks=("downsample_layers.0.0.weight", "stages.0.0.dwconv.weight"),
    renames=(
        *_STEM,
        Rename("stages.#.#.dwconv.*", f"{_BLOCK}conv_dw.*"),
        Rename("stages.#.#.pwconv#.*", f"{_BLOCK}mlp.fc#.*"),
        Rename("stages.#.#.grn.gamma", f"{_BLOCK}mlp.grn.weight"),
        Rename("stages.#.#.grn.beta", f"{_BLOCK}mlp.grn.bias"),
        Rename("stages.#.#.*", f"{_BLOCK}*"),
    ),
)
_THEIRS = "encoder.stages.#.layers.#."
HUGGING_FACE = Naming(
    publisher="Hugging Face",
    prefix=r"(convnext\.)?",
    marks=("embeddings.patch_embeddings.weight", f"{_THEIRS}dwconv.weight"),
    renames=(
        Rename("embeddings.patch_embeddings.*", "stem.0.*"),
        Rename("embeddings.layernorm.*", "stem.1.*"),
        Rename("encoder.stages.#.downsampling_layer.#.*", "stages.#.downsample.#.*"),
        Rename(f"{_THEIRS}layer_scale_parameter", f"{_BLOCK}gamma"),
        Rename(f"{_THEIRS}dwconv.*", f"{_BLOCK}conv_dw.*"),
        Rename(f"{_THEIRS}layernorm.*", f"{_BLOCK}norm.*"),
        Rename(f"{_THEIRS}pwconv#.*", f"{_BLOCK}mlp.fc#.*"),
    ),
)
_DINO = "stages.#.layers.#."
HUGGING_FACE_DINOV3 = Naming(
    publisher="Hugging Face",
    prefix=r"(model\.)?",
    marks=("stages.0.downsample_layers.0.weight", f"{_DINO}depthwise_conv.weight"),
    renames=(
        Rename("stages.0.downsample_layers.#.*", "stem.#.*"),
        Rename("stages.#.downsample_layers.#.*", "stages.#.downsample.#.*"),
        Rename(f"{_DINO}depthwise_conv.*", f"{_BLOCK}conv_dw.*"),
        Rename(f"{_DINO}layer_norm.*", f"{_BLOCK}norm.*"),
        Rename(f"{_DINO}pointwise_conv#.*", f"{_BLOCK}mlp.fc#.*"),
        Rename(f"{_DINO}gamma", f"{_BLOCK}gamma"),
    ),
)


def _adapt(weights: StateDict, expected: Mapping[str, Tensor]) -> StateDict:
    """Give weights the network's axes: some files have linear layers as 1x1 kernels."""
    return {
        name: value.reshape(expected[name].shape)
        if name in expected and value.numel() == expected[name].numel() else value
        for name, value in weights.items()}


CONVNEXT = Family(
    name="ConvNeXt",
    timm=r"^convnext",
    namings=(PUBLISHED, META, HUGGING_FACE, HUGGING_FACE_DINOV3),
    published=PUBLISHED,
    marks=("stem.0.weight", "stages.0.blocks.0.conv_dw.weight"),
    stages="stages.#.blocks.#.norm.weight",
    sizes={(768, 18): "T", (768, 36): "S", (1024, 36): "B", (1536, 36): "L", (2048, 36): "XL"},
    resampled={},
    unused=CLASSIFIER | {
        "norm#.*": "norm of a map", "norms.*": "norms of DINOv3's maps",
        "layernorm.*": "final norm", "layer_norm.*": "final norm",
        "projectors.*": "heads for distillation", "classifier.*": "classifier",
    },
    adapt=_adapt,
)
