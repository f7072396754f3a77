"""Create timm's networks for maps of any image size, without the parts that no map needs.

Importing this module makes timm resample absolute positions without antialiasing at run time: the
published weights were trained so. timm's own loading of pretrained files is not affected.
"""

import re
from collections.abc import Callable, Mapping
from functools import partial

import timm
from timm.layers import resample_abs_pos_embed, resample_abs_pos_embed_nhwc
from timm.models import beit, deit, eva, vision_transformer, vision_transformer_sam
from torch import nn

from rein.checkpoint.families import DINOV2, family_of

FLEXIBLE = dict(dynamic_img_size=True, strict_img_size=False)
"""timm's arguments for images of any size; each network takes one of them or none."""

for _module in (beit, deit, eva, vision_transformer):
    _module.resample_abs_pos_embed = partial(resample_abs_pos_embed, antialias=False)
vision_transformer_sam.resample_abs_pos_embed_nhwc = partial(
    resample_abs_pos_embed_nhwc, antialias=False)


def create_network(
    name: str, arguments: Mapping, refuse: Callable[[str], None],
) -> tuple[nn.Module, set[str]]:
    """Create a network without its head, pooling and unused norms.

    Args:
        name: timm's name.
        arguments: Passed to `timm.create_model`, after those of the family.
        refuse: Called with the name of an argument that the network does not take; raises.

    Returns:
        The network and the names of pruned weights, which files may have.
    """
    flexible = {**FLEXIBLE, **family_of(name).arguments}
    while True:
        try:
            network = timm.create_model(name, num_classes=0, **{**flexible, **arguments})
            return network, _prune(network, keep_norm=family_of(name) is DINOV2)
        except TypeError as error:
            unknown = re.search(r"unexpected keyword argument '(\w+)'", str(error))
            refused = unknown.group(1) if unknown else None
            if refused in arguments:
                refuse(refused)
            if refused not in flexible:
                raise
            del flexible[refused]


def _prune(network: nn.Module, keep_norm: bool) -> set[str]:
    """Remove what no map needs; return the names of the weights.

    DINOv2's final norm stays: published files and fingerprints include it.
    """
    before = set(network.state_dict())
    if hasattr(network, "prune_intermediate_layers"):
        last = len(network.feature_info) - 1
        network.prune_intermediate_layers([last], prune_norm=not keep_norm, prune_head=True)
    classifiers = network.pretrained_cfg.get("classifier") or ()
    classifiers = [classifiers] if isinstance(classifiers, str) else classifiers
    return before - set(network.state_dict()) | {
        f"{module}.{kind}" for module in classifiers for kind in ("weight", "bias")}
