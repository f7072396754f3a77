"""Any timm network, plain or staged, as a frozen backbone with an adapter.

Sources: timm (https://github.com/huggingface/pytorch-image-models) for the networks; Wei et al.,
arXiv:2312.04265 for the feature pyramid.
"""

from collections.abc import Mapping, Sequence

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
from rein.models.adapters import build_adapter
from rein.models.arguments import known_arguments, refuse_unknown
from rein.models.backbones.published_keys import from_published, to_published
from rein.models.backbones.timm_networks import create_network
from rein.models.freezing import freeze
from rein.models.pyramid import Pyramid
from rein.models.stages import STRIDES, maps_of, stages_of

PUBLISHED_PATCH = 16
"""Patch side, in pixels, that published adapters of staged networks assume."""


@MODELS.register_module()
class VisionFoundationModel(BaseModule):
    """A vision foundation model whose intermediate maps become a feature pyramid.

    A plain vision transformer has one size of map: four of them are resized. A staged network,
    such as ConvNeXt, ResNet, Swin, SAM 2's Hiera or EfficientNet, has four strides of its own.

    Args:
        model (str | nn.Module): Name of a timm model, or the model itself. It needs
            `forward_intermediates`, and `blocks` or a `feature_info` with strides 4, 8, 16, 32.
        out_indices (Sequence[int]): Blocks whose outputs become the maps, shallow to deep; the
            first becomes the finest. Default: four, evenly spaced; 7, 11, 15, 23 of 24 blocks.
            For staged networks: stages, 0 for stride 4. Default: all four.
        reins_config (dict, optional): Adapter to build, an `Adapter` such as `LoRAReins`. Its
            `num_layers`, `embed_dims` and `patch_size` come from the network unless given. Staged
            networks get one for each stage.
        distinct_cfgs (Sequence[dict], optional): Arguments of each stage's adapter, laid over
            `reins_config`. Default: derived from the network.
        frozen (bool): Freeze the model's weights. The adapter always trains.
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
        UserError: An argument is unknown, or the adapter does not fit the model.
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
        with_cp: bool = False,
        init_cfg: dict | None = None,
        **kwargs,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        known = known_arguments(type(self), VisionFoundationModel)
        self.unused: set[str] = set()
        self.timm_name = model if isinstance(model, str) else ""
        if isinstance(model, str):
            owner = f"{type(self).__name__}, model={model!r},"
            model, self.unused = create_network(
                model, kwargs, lambda name: refuse_unknown(owner, [name], known))
        else:
            refuse_unknown(type(self).__name__, kwargs, known - {"model"})
        self.model = model
        self.stage_maps = maps_of(model)
        self.is_staged = self.stage_maps is not None
        self.out_indices = tuple(out_indices or _default_out_indices(
            4 if self.is_staged else len(model.blocks)))
        self.frozen = frozen
        if frozen:
            freeze(self.model)
        model.set_grad_checkpointing(with_cp)
        self._describe_maps()
        self.reins = self._build_adapter(reins_config, distinct_cfgs) if reins_config else None
        # state dicts use the published names, whatever the nesting in memory
        self.register_state_dict_post_hook(to_published)
        self.register_load_state_dict_pre_hook(from_published)

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

    def _build_adapter(self, config: Mapping, distinct: Sequence[Mapping] | None) -> nn.Module:
        """Build the adapter and attach it to the network."""
        stages = stages_of(self.model)
        patch_size = PUBLISHED_PATCH if self.is_staged else self.multiple[0]
        adapter = build_adapter(config, stages, patch_size, self.out_indices, distinct)
        adapter.attach(self.model, stages, getattr(self.model, "num_prefix_tokens", 0))
        return adapter


    def forward(self, images: Tensor) -> Pyramid:
        """Compute the feature pyramid.

        Args:
            images: (B, 3, H, W), normalised.

        Returns:
            Four maps (B, C_i, H/4, W/4) to (B, C_i, H/32, W/32), each side rounded down, and the
            adapter's queries.
        """
        down, right = (-side % part for side, part in zip(
            images.shape[-2:], self.multiple, strict=True))
        images = F.pad(images, (0, right, 0, down))
        image_size = tuple(images.shape[-2:])
        queries = None if self.reins is None else self.reins.queries()
        return Pyramid(self._maps(images), self._sizes(*image_size), queries, image_size)

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
            self.reins.on_pretrained()

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
            self.reins.on_pretrained()


def _default_out_indices(depth: int) -> list[int]:
    """Return four evenly spaced blocks, or the published ones for a depth of 24."""
    if depth == 24:
        return [7, 11, 15, 23]
    return [max(depth * i // 4 - 1, 0) for i in (1, 2, 3, 4)]
