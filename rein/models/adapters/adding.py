"""Add an adapter to a network of timm, for training in plain PyTorch."""

from collections.abc import Mapping
from functools import partial
from types import MethodType
from typing import Any

from torch import nn

from rein.errors import UserError
from rein.models.adapters.base import Adapter
from rein.models.adapters.per_stage import attached_adapter
from rein.models.arguments import known_arguments
from rein.models.freezing import freeze
from rein.models.stages import STRIDES, blocks_of

SHORT_NAMES = {
    "rein": "LoRAReins", "lora": "LoRA", "dora": "DoRA", "soma": "SoMA", "vpt": "VPT",
    "adaptformer": "AdaptFormer", "bitfit": "BitFit", "norm": "NormTuning", "peft": "Peft"}
"""Names of adapters for `add_adapter`, and their types."""


def add_adapter(
    network: nn.Module, adapter: str | Mapping[str, Any] = "rein", **options: Any,
) -> Adapter:
    """Freeze a network of timm and add an adapter, which becomes `network.adapter`.

    The network computes with the adapter from then on. Its frozen parts stay in evaluation mode,
    also after `network.train()`. To train a classifier as well, thaw it afterwards:
    `network.head.requires_grad_(True)`. Optimise `network.adapter.parameters()`, save
    `network.adapter.state_dict()`, and load it into the adapter of a network with the same
    pretrained weights.

    Args:
        network: A pretrained model from `timm.create_model`, plain or staged.
        adapter: "rein", "lora", "dora", "soma", "vpt", "adaptformer", "bitfit", "norm" or "peft"; a
            type such as "Reins"; or a config, `dict(type=..., ...)`.
        **options: Arguments of the adapter, such as `token_length=100` or `rank=8`; see
            docs/adapters.md. Sizes come from the network.

    Returns:
        The adapter, a module that holds all trainable parameters.

    Raises:
        UserError: The adapter or an option is unknown, it does not fit the network, or the network
            has an adapter already.
    """
    from mmseg.registry import MODELS

    if hasattr(network, "adapter"):
        raise UserError(f"the network has an adapter already, {type(network.adapter).__name__}. "
                        "Create the network anew, or join both: dict(type='Combined', ...).")
    config = dict(adapter) if isinstance(adapter, Mapping) else dict(type=adapter)
    config = {**config, **options}
    config["type"] = SHORT_NAMES.get(config.get("type", ""), config.get("type"))
    kind = MODELS.get(config["type"]) if isinstance(config["type"], str) else None
    if kind is None or not issubclass(kind, Adapter):
        raise UserError(f"there is no adapter {config['type']!r}. Known: "
                        f"{', '.join(SHORT_NAMES)}; see docs/adapters.md.")
    if "link_token_to_query" in known_arguments(kind, Adapter):
        config.setdefault("link_token_to_query", False)  # no head that takes queries
    freeze(network)
    added = attached_adapter(network, config, range(len(STRIDES)))
    added.on_pretrained()
    network.add_module("adapter", added)
    network.train = MethodType(_train_unfrozen, network)
    blocks_of(network)[-1].register_forward_hook(partial(_check_pass, added))
    return added


def _check_pass(adapter: Adapter, *unused: Any) -> None:
    """Let the adapter raise if the network did not call a layer that it changes (a hook)."""
    adapter.queries()


def _train_unfrozen(network: nn.Module, mode: bool = True) -> nn.Module:
    """Set the mode of the parts that train; the others stay in evaluation mode."""
    type(network).train(network, mode)
    for part in network.children():
        if not any(parameter.requires_grad for parameter in part.parameters()):
            part.eval()
    return network
