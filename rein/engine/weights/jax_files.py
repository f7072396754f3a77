"""Read the `.npz` files of Google's plain vision transformers: ViT, AugReg, SigLIP.

Sources: google-research/vision_transformer and big_vision, whose layouts timm reads.
"""

import math
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from rein.checkpoint import StateDict
from rein.errors import UserError, one_line

_KERNEL = "embedding/kernel"


def read_jax_weights(path: str, model: str) -> StateDict:
    """Read a `.npz` file by timm's own loader, which copies each array to its place.

    Args:
        path: The file.
        model: timm's name of the network; its sizes come from the file.

    Returns:
        Weights under timm's names, at the file's patch and image size.

    Raises:
        UserError: The file is damaged or holds another network.
    """
    import timm

    other = f"Convert timm's file of the same weights: timm:{model}.TAG or hf:REPO."
    try:
        network = timm.create_model(model, num_classes=0, global_pool="", **_sizes(path))
        network.load_pretrained(path)
    except (OSError, KeyError, ValueError, RuntimeError, IndexError, TypeError, AttributeError,
            zipfile.BadZipFile) as error:
        raise UserError(f"{path}: cannot be read as a JAX file of {model} ({one_line(error)}). "
                        f"{other}") from None
    return network.state_dict()


def _sizes(path: str) -> Mapping[str, Any]:
    """Return the arguments of timm that give a network the sizes of a file."""
    with np.load(path, allow_pickle=False) as arrays:
        prefix = next(name for name in [*arrays.files, _KERNEL] if name.endswith(_KERNEL))
        prefix = prefix.removesuffix(_KERNEL)
        kernel = arrays[f"{prefix}{_KERNEL}"]
        if kernel.dtype.kind != "f":
            raise ValueError(f"its values are {kernel.dtype}, not floats that NumPy knows")
        block = f"{prefix}Transformer/encoderblock"
        names = [name for name in arrays.files if name.startswith(block)]
        query = arrays[next(name for name in names if name.endswith("query/kernel"))]
        hidden = arrays[next(name for name in names if name.endswith("Dense_0/bias"))].shape[-1]
        stacked = f"{block}/LayerNorm_0/scale"
        depth = len(arrays[stacked]) if stacked in arrays.files else sum(
            name.endswith("LayerNorm_0/scale") for name in names)
        positions = arrays[next(name for name in arrays.files if name.endswith("pos_embedding"))]
    side, width = kernel.shape[0], kernel.shape[-1]
    rows = math.isqrt(positions.shape[-2])  # a class token is left over
    return dict(
        img_size=side * rows, patch_size=side, embed_dim=width, depth=depth,
        num_heads=query.shape[-2], mlp_ratio=(hidden + 0.5) / width)
