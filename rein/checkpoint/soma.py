"""Read checkpoints of the published SoMA program (Yun et al., arXiv:2412.04077).

Its names have `model.` after `backbone.`, separate queries, keys and values, and the adapter's
factors beside the weights that they change. Its adapter-only files also hold the biases of the
whole backbone; the trained ones among them replace the frozen ones.
"""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

_BACKBONE = "backbone.model."
_FACTOR = re.compile(r"backbone\.model\.blocks\.\d+\..+\.lora_[AB]\.weight")
_UNUSED = "backbone.model.mask_token"  # in no forward pass


def is_published_soma(state_dict: Mapping[str, Tensor]) -> bool:
    """Tell whether weights use the published SoMA program's names."""
    return any(_FACTOR.fullmatch(name) for name in state_dict)


def from_published_soma(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename published SoMA weights to this project's names.

    Args:
        state_dict: Everything, or the adapter and the head.

    Returns:
        A new dict, `backbone.reins.*` for the factors, `backbone.*` for the network. What `SoMA`
        saves in addition is zero: these files store no start and whole biases, not changes.
    """
    renamed: dict[str, Tensor] = {}
    for name, value in state_dict.items():
        if name == _UNUSED:
            continue
        if _FACTOR.fullmatch(name):
            bias = state_dict.get(re.sub(r"lora_[AB]\.weight$", "bias", name))
            name = f"backbone.reins.{name.removeprefix(_BACKBONE)}"
            renamed[re.sub(r"(lora_[AB])\.weight$", r"\g<1>0", name)] = torch.zeros_like(value)
            if bias is not None:
                renamed[re.sub(r"lora_[AB]\.weight$", "bias", name)] = torch.zeros_like(bias)
        elif name.startswith(_BACKBONE):
            name = f"backbone.{name.removeprefix(_BACKBONE)}"
        renamed[name] = value
    for name in list(filter(re.compile(
            r"backbone\.blocks\.\d+\.attn\.q\.(weight|bias)").fullmatch, renamed)):
        parts = [name.replace(".attn.q.", f".attn.{part}.") for part in "qkv"]
        if all(part in renamed for part in parts):
            joined = torch.cat([renamed.pop(part) for part in parts])
            renamed[name.replace(".attn.q.", ".attn.qkv.")] = joined
    return renamed
