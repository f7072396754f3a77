"""Create timm's networks for maps of any image size, without the parts that no map needs."""

import re
from collections.abc import Callable, Mapping

import timm
from torch import nn

FLEXIBLE = dict(dynamic_img_size=True, strict_img_size=False)
"""timm's arguments for images of any size; each network takes one of them or none."""


def create_network(
    name: str, arguments: Mapping, refuse: Callable[[str], None],
) -> tuple[nn.Module, set[str]]:
    """Create a network without its head, pooling and unused norms.

    Args:
        name: timm's name.
        arguments: Passed to `timm.create_model`.
        refuse: Called with the name of an argument that the network does not take; raises.

    Returns:
        The network and the names of pruned weights, which files may have.
    """
    flexible = dict(FLEXIBLE)
    while True:
        try:
            network = timm.create_model(name, num_classes=0, **{**flexible, **arguments})
            return network, _prune(network)
        except TypeError as error:
            unknown = re.search(r"unexpected keyword argument '(\w+)'", str(error))
            refused = unknown.group(1) if unknown else None
            if refused in arguments:
                refuse(refused)
            if refused not in flexible:
                raise
            del flexible[refused]


def _prune(network: nn.Module) -> set[str]:
    """Remove what no map needs; return the names of the weights.

    The final norm of networks in DINOv2's format stays: their files and fingerprints include it.
    """
    before = set(network.state_dict())
    if hasattr(network, "prune_intermediate_layers"):
        is_dinov2 = {"cls_token", "pos_embed", "blocks.0.ls1.gamma"} <= before
        last = len(network.feature_info) - 1
        network.prune_intermediate_layers([last], prune_norm=not is_dinov2, prune_head=True)
    classifiers = network.pretrained_cfg.get("classifier") or ()
    classifiers = [classifiers] if isinstance(classifiers, str) else classifiers
    return before - set(network.state_dict()) | {
        f"{module}.{kind}" for module in classifiers for kind in ("weight", "bias")}
