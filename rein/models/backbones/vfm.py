"""Any timm network, plain or staged, as a frozen backbone with an adapter.

Sources: timm (https://github.com/huggingface/pytorch-image-models) for the networks; Wei et al.,
arXiv:2312.04265 for the feature pyramid.
"""

import copy
from collections.abc import Mapping, Sequence
from contextlib import nullcontext

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn

from rein.checkpoint import load_backbone, load_strictly
from rein.checkpoint.families import (
    Family,
    Naming,
    checkpoint_names,
    family_of,
    matches,
    translate,
)
from rein.errors import UserError
from rein.models.adapters import attached_adapter
from rein.models.adapters.author_checks import queries_of, start
from rein.models.arguments import known_arguments, refuse_unknown
from rein.models.backbones.published_keys import from_published, to_published
from rein.models.backbones.timm_networks import create_network
from rein.models.freezing import freeze
from rein.models.pyramid import Pyramid
from rein.models.stages import STRIDES, maps_of

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
"""Data types of frozen weights."""


@MODELS.register_module()
class VisionFoundationModel(BaseModule):
    """A vision foundation model whose intermediate maps become a feature pyramid.

    A plain vision transformer has one size of map: four of them are resized. A staged network,
    such as ConvNeXt, ResNet, Swin, SAM 2's Hiera or EfficientNet, has four strides of its own.

    Args:
        model (str | nn.Module): Name of a timm model, or the model itself. It needs
            `forward_intermediates`, and `blocks` or a `feature_info` with strides 4, 8, 16, 32.
        out_indices (Sequence[int]): Four blocks whose outputs become the maps, shallow to deep;
            the first becomes the finest. Default: evenly spaced; 7, 11, 15, 23 of 24 blocks.
            For staged networks: stages, 0 for stride 4. Default: all four.
        reins_config (dict, optional): Adapter to build, an `Adapter` such as `LoRAReins`. Its
            `num_layers`, `embed_dims` and `patch_size` come from the network unless given. Staged
            networks get one for each stage.
        distinct_cfgs (Sequence[dict], optional): Arguments of each stage's adapter, laid over
            `reins_config`. Default: derived from the network.
        frozen (bool): Freeze the network; the adapter trains either way. If False, all weights up
            to the last used block train; later ones become buffers.
        frozen_dtype (str): 'bf16' keeps matrices and kernels of the frozen network in bfloat16,
            half the memory, and computes in it where torch's autocast does. Other weights and the
            adapter stay in float32.
        with_cp (bool): Checkpoint activations: training keeps only each block's input and
            recomputes the rest in the backward pass. Saves memory, costs time.
        init_cfg (dict, optional): `dict(type='Pretrained', checkpoint=PATH)`, a file with the
            model's weights and no adapter, as written by tools/convert_models.
        **kwargs: Passed to `timm.create_model` if `model` is a name.

    Shape:
        Images (B, 3, H, W), normalised, any H and W; they are zero-padded at the right and bottom
        to multiples of the patch size, or of 32 for staged networks. Maps (B, C_i, h, w) at
        strides 4, 8, 16, 32 of the padded image.

    Attributes:
        embed_dims: Channels C, or those of each map for staged networks.

    Raises:
        UserError: An argument is unknown or has no effect, or the adapter does not fit the model.
    """

    FAMILY = None
    """The family of a published type; its checkpoints use the family's published names."""

    def __init__(
        self,
        model: str | nn.Module,
        out_indices: Sequence[int] | None = None,
        reins_config: dict | None = None,
        distinct_cfgs: Sequence[dict] | None = None,
        frozen: bool = True,
        frozen_dtype: str = "fp32",
        with_cp: bool = False,
        init_cfg: dict | None = None,
        **kwargs,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        known = known_arguments(type(self), VisionFoundationModel)
        self.unused: set[str] = set()
        self.timm_name = model if isinstance(model, str) else ""
        if isinstance(model, str):
            _refuse_inert_dropout(kwargs if frozen else {})
            owner = f"{type(self).__name__}, model={model!r},"
            model, self.unused = create_network(
                model, kwargs, lambda name: refuse_unknown(owner, [name], known))
        else:
            refuse_unknown(type(self).__name__, kwargs, known - {"model"})
        self.model = model
        self.stage_maps = maps_of(model)
        self.is_staged = self.stage_maps is not None
        levels = 4 if self.is_staged else len(model.blocks)
        self.out_indices = tuple(out_indices or _default_out_indices(levels))
        if not all(isinstance(i, int) and 0 <= i < levels for i in self.out_indices):
            parts = "stages" if self.is_staged else "blocks"
            raise UserError(
                f"{type(self).__name__}: out_indices is {list(self.out_indices)}, but the network "
                f"has {parts} 0 to {levels - 1}. Choose among these.")
        self.frozen = frozen
        if frozen:
            freeze(self.model)
        else:
            last = max(self.out_indices)
            _exclude_unused(model, self.stage_maps[last] if self.is_staged else last)
        model.set_grad_checkpointing(with_cp)
        if frozen_dtype not in DTYPES:
            raise UserError(f"frozen_dtype={frozen_dtype!r}: expected 'fp32' or 'bf16'.")
        self.frozen_dtype = DTYPES[frozen_dtype]
        if frozen:
            self.apply_frozen_dtype()
        self._describe_maps()
        maps = len(self._sizes(*self.multiple))
        if maps != len(self.out_indices):
            raise UserError(
                f"{type(self).__name__}: out_indices is {list(self.out_indices)}, but the pyramid "
                f"has {maps} maps. Choose {maps} of the blocks 0 to {levels - 1}; they may repeat.")
        self.reins = self._build_adapter(reins_config, distinct_cfgs) if reins_config else None
        # state dicts use the published names, whatever the nesting in memory
        self.register_state_dict_post_hook(to_published)
        self.register_load_state_dict_pre_hook(from_published)

    def apply_frozen_dtype(self) -> None:
        """Convert the frozen network's matrices and kernels to `frozen_dtype`."""
        for layer in self.model.modules():
            if isinstance(layer, nn.Linear | nn.Conv2d):
                layer.weight.data = layer.weight.data.to(self.frozen_dtype)

    @property
    def normalisation(self) -> dict[str, list[float]]:
        """The network's `mean` and `std` of RGB in [0, 255]; empty if unknown."""
        given = getattr(self.model, "pretrained_cfg", None) or {}
        return {name: [round(255 * value, 6) for value in given[name]]
                for name in ("mean", "std") if given.get(name)}

    @property
    def family(self) -> Family:
        """The network's family, which describes its files."""
        return self.FAMILY or family_of(self.timm_name)

    @property
    def naming(self) -> Naming:
        """Names of the network's weights in state dicts and checkpoints."""
        return self.FAMILY.published if self.FAMILY else checkpoint_names(self.timm_name)

    def _describe_maps(self) -> None:
        """Set the channels of the maps and the multiple to which images are padded."""
        if self.is_staged:
            infos = list(self.model.feature_info)
            self.embed_dims = [infos[self.stage_maps[i]]["num_chs"] for i in self.out_indices]
            self.multiple = (STRIDES[-1], STRIDES[-1])
        else:
            self.embed_dims = self.model.embed_dim
            self.multiple = tuple(self.model.patch_embed.patch_size)
        patch_embed = getattr(self.model, "patch_embed", None)
        is_strict = getattr(patch_embed, "strict_img_size", False)
        self.only_size = tuple(patch_embed.img_size) if is_strict else None

    def _build_adapter(self, config: Mapping, distinct: Sequence[Mapping] | None) -> nn.Module:
        """Build the adapter and attach it to the network."""
        return attached_adapter(self.model, config, self.out_indices, distinct)

    def forward(self, images: Tensor) -> Pyramid:
        """Compute the feature pyramid.

        Args:
            images: (B, 3, H, W), normalised.

        Returns:
            Four maps (B, C_i, H/4, W/4) to (B, C_i, H/32, W/32), each side rounded down, and the
            adapter's queries.
        """
        height, width = images.shape[-2:]
        # multiples by `//`, which keeps an export's symbolic sizes simple
        down, right = ((side + part - 1) // part * part - side for side, part in zip(
            (height, width), self.multiple, strict=True))
        images = F.pad(images, (0, right, 0, down))
        image_size = tuple(images.shape[-2:])
        if self.only_size not in (None, image_size):
            raise UserError(f"{type(self.model).__name__} takes images of {self.only_size} (H, W) "
                            f"only, found {image_size}. Set img_size in the backbone.")
        kind, halved = images.device.type, self.frozen_dtype is not torch.float32
        with torch.autocast(kind, self.frozen_dtype) if halved else nullcontext():
            maps = self._maps(images)
        if halved and not torch.is_autocast_enabled(kind):
            maps = [one.float() for one in maps]
        queries = None if self.reins is None else queries_of(self.reins)
        return Pyramid(maps, self._sizes(*image_size), queries, image_size)

    def _maps(self, images: Tensor) -> list[Tensor]:
        """Compute the maps (B, C_i, h, w) of padded images, one for each of `out_indices`."""
        taken = sorted(set(self.out_indices))
        indices = [self.stage_maps[i] for i in taken] if self.is_staged else taken
        outputs = dict(zip(taken, self.model.forward_intermediates(
            images, indices=indices, norm=False, stop_early=True, output_fmt="NCHW",
            intermediates_only=True), strict=True))
        return [outputs[index] for index in self.out_indices]

    def _sizes(self, height: int, width: int) -> list[tuple[int, int]]:
        """Return the maps' sizes (H_i, W_i) in the pyramid of a padded image."""
        strides = [STRIDES[i] for i in self.out_indices] if self.is_staged else STRIDES
        return [(max(height // stride, 1), max(width // stride, 1)) for stride in strides]

    def train(self, mode: bool = True) -> "VisionFoundationModel":
        """Set the mode; a frozen model stays in evaluation mode."""
        super().train(mode)
        if self.frozen:
            self.model.eval()
        return self

    def init_weights(self) -> None:
        """Load the pretrained weights named by `init_cfg`, if any.

        Raises:
            UserError: The file is missing or does not fit.
        """
        if self.is_init:
            return
        self.is_init = True
        if self.init_cfg is not None:
            path = self.init_cfg["checkpoint"]
            self.load_pretrained(load_backbone(path), path)
        elif self.reins is not None:
            start(self.reins, self.model)

    def load_pretrained(self, state_dict: dict[str, Tensor], source: str) -> None:
        """Load the model's weights, without an adapter, strictly.

        Args:
            state_dict: Weights without prefix, under any names of the network's family. Those of
                parts that no map needs, such as a classifier, are ignored.
            source: The file, named in messages.
        """
        state_dict = translate(state_dict, self.naming)
        names = self.state_dict().keys()
        state_dict = {k: v for k, v in state_dict.items() if k not in self.unused}
        load_strictly(self, state_dict, source, may_miss={
            "adapter": {name for name in names if name.startswith("reins.")},
            "output norms": {name for name in names if matches(name, ("norm#.*",))},
        })
        if self.reins is not None:
            start(self.reins, self.model)


def _refuse_inert_dropout(arguments: dict) -> None:
    """Raise if arguments of a frozen timm network set dropout: it stays in evaluation mode."""
    for name, value in arguments.items():
        if "drop" in name and value:
            raise UserError(f"VisionFoundationModel: {name}={value} has no effect in a frozen "
                            "network, which stays in evaluation mode. Remove it.")


def _exclude_unused(model: nn.Module, last: int) -> None:
    """Turn the parameters after block `last`, such as the final norm, into buffers, in place.

    They get no gradient, for which distributed training would wait. As buffers they keep their
    names in the state dict.
    """
    used = copy.copy(model)
    used._modules = dict(model._modules)  # timm prunes this copy; the model keeps its parts
    used.prune_intermediate_layers([last], prune_norm=True, prune_head=True)
    kept = {name for name, _ in used.named_parameters()}
    for name, parameter in list(model.named_parameters()):
        if name not in kept:
            path, _, short = name.rpartition(".")
            owner = model.get_submodule(path)
            delattr(owner, short)
            owner.register_buffer(short, parameter.detach())


def _default_out_indices(depth: int) -> list[int]:
    """Return four evenly spaced blocks, or the published ones for a depth of 24."""
    if depth == 24:
        return [7, 11, 15, 23]
    return [max(depth * i // 4 - 1, 0) for i in (1, 2, 3, 4)]
