"""Add an adapter to a network of timm, for training in plain PyTorch."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from torch import nn

from rein.errors import UserError, one_line
from rein.models.adapters.author_checks import start
from rein.models.adapters.base import Adapter, owner_of
from rein.models.adapters.encoder_only import EncoderOnlyQueries
from rein.models.adapters.per_stage import adapter_type, attached_adapter
from rein.models.arguments import known_arguments
from rein.models.freezing import freeze
from rein.models.stages import blocks_of

SHORT_NAMES = {
    "rein": "LoRAReins", "lora": "LoRA", "dora": "DoRA", "soma": "SoMA", "vpt": "VPT",
    "adaptformer": "AdaptFormer", "bitfit": "BitFit", "norm": "NormTuning", "peft": "Peft"}
"""Names of adapters for `add_adapter`, and their types."""


def add_adapter(
    network: nn.Module, adapter: str | Mapping[str, Any] = "rein", **options: Any,
) -> Adapter:
    """Freeze a network of timm and add an adapter, which becomes `network.adapter`.

    The network computes with the adapter from then on. Its frozen parts stay in evaluation mode,
    also after `network.train()`: every module without a parameter that trains. To train a
    classifier or a block as well, thaw it afterwards: `network.head.requires_grad_(True)`.
    Optimise `network.adapter.parameters()`, save `network.adapter.state_dict()`, and load it into
    the adapter of a network with the same pretrained weights. The adapter is on the network's
    device, in its number format and its mode.

    After an error the network is as it was.

    Args:
        network: A pretrained model from `timm.create_model`, plain or staged.
        adapter: "rein", "lora", "dora", "soma", "vpt", "adaptformer", "bitfit", "norm" or "peft"; a
            type such as "Reins"; or a config, `dict(type=..., ...)`.
        **options: Arguments of the adapter, such as `token_length=100` or `rank=8`; see
            docs/adapters.md. Sizes come from the network, and queries for a head are left out.

    Returns:
        The adapter, a module that holds all trainable parameters.

    Raises:
        UserError: The adapter or an option is unknown or out of range, the adapter does not fit the
            network, or the network cannot take one or has one already.
    """
    if not isinstance(network, nn.Module):
        raise UserError(f"the network is of type {type(network).__name__}; expected a module, as "
                        "from `timm.create_model`.")
    if hasattr(network, "_orig_mod"):
        raise UserError("the network is compiled already. Add the adapter first, then call "
                        "`torch.compile`.")
    _refuse_adapted(network)
    config = dict(adapter) if isinstance(adapter, Mapping) else dict(type=adapter)
    mode = network.training
    with _restored_on_error(network):
        freeze(network)
        added = attached_adapter(network, _completed({**config, **options}))
        for value in network.parameters():
            if value.is_floating_point():
                added.to(value)
                break
        start(added, network)
        network.add_module("adapter", added.train(mode))
        network.train = partial(_train_unfrozen, network)  # unlike a bound function, can be pickled
        blocks_of(network)[-1].register_forward_hook(partial(_check_pass, added))
    return added


def _refuse_adapted(network: nn.Module) -> None:
    """Raise if a network has an adapter, or hooks of one that was deleted."""
    if hasattr(network, "adapter"):
        raise UserError(f"the network has an adapter already, {type(network.adapter).__name__}. "
                        "Create the network anew, or join both: dict(type='Combined', ...).")
    for module in network.modules():
        for hook in (*module._forward_pre_hooks.values(), *module._forward_hooks.values()):
            if isinstance(owner := owner_of(hook), Adapter):
                raise UserError(f"the network still has hooks of {type(owner).__name__}, which "
                                "deleting an adapter leaves in place. Create the network anew.")


def _completed(config: Any) -> Any:
    """Replace short names, and leave out queries, as no head takes them; also in `Combined`."""
    if not isinstance(config, Mapping):
        return config
    config, kind = dict(config), config.get("type")
    if isinstance(kind, str):
        config["type"] = SHORT_NAMES.get(kind, kind)
    kind = adapter_type(config, SHORT_NAMES)
    if kind is EncoderOnlyQueries:
        raise UserError("EncoderOnlyQueries needs an `EncoderOnlyHead`, so it is for configs only. "
                        "Choose another adapter.")
    if "link_token_to_query" in known_arguments(kind, Adapter):
        config.setdefault("link_token_to_query", False)
    if isinstance(parts := config.get("adapters"), list | tuple):
        config["adapters"] = [_completed(part) for part in parts]
    return config


@contextmanager
def _restored_on_error(network: nn.Module) -> Iterator[None]:
    """Undo all changes of a network's modules if the block raises; then a `UserError`."""
    trains = [(parameter, parameter.requires_grad) for parameter in network.parameters()]
    before = [(module, {name: (value, dict(value) if isinstance(value, dict) else None)
                        for name, value in vars(module).items()}) for module in network.modules()]
    try:
        yield
    except Exception as error:
        for module, attributes in before:
            for name in vars(module).keys() - attributes.keys():
                del vars(module)[name]
            for name, (value, content) in attributes.items():
                vars(module)[name] = value
                if content is not None:  # in place: handles of the user's hooks refer to it
                    value.clear()
                    value.update(content)
        for parameter, train in trains:
            parameter.requires_grad_(train)
        if isinstance(error, UserError | MemoryError | ImportError):
            raise
        raise UserError(f"{type(network).__name__} does not take this adapter: "
                        f"{one_line(error)}") from error


def _check_pass(adapter: Adapter, *unused: Any) -> None:
    """Let the adapter raise if the network did not call a layer that it changes (a hook)."""
    adapter.queries()


def _train_unfrozen(network: nn.Module, mode: bool = True) -> nn.Module:
    """Set the mode of the parts that train; the others stay in evaluation mode."""
    type(network).train(network, mode)
    _evaluate_frozen(network)
    return network


def _evaluate_frozen(module: nn.Module) -> None:
    """Set the frozen parts of a module that trains in part to evaluation mode.

    Parts without parameters, such as dropout, train only if the whole module does.
    """
    for part in module.children():
        trains = [parameter.requires_grad for parameter in part.parameters()]
        if not any(trains):
            part.eval()
        elif not all(trains) and not isinstance(part, Adapter):
            _evaluate_frozen(part)
