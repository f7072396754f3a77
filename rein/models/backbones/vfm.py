"""Any timm vision transformer as a frozen backbone with an adapter.

Sources: timm (https://github.com/huggingface/pytorch-image-models) for the networks; Wei et al.,
arXiv:2312.04265 for the feature pyramid.
"""

import copy
import re
from collections.abc import Sequence

import timm
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn

from rein.checkpoint import load_backbone, load_strictly
from rein.errors import UserError
from rein.models.arguments import known_arguments, refuse_unknown
from rein.models.backbones.published_keys import from_published, to_published
from rein.models.freezing import freeze
from rein.models.pyramid import Pyramid

PYRAMID_STRIDES = (4, 8, 16, 32)


@MODELS.register_module()
class VisionFoundationModel(BaseModule):
    """A vision foundation model whose four intermediate maps become a feature pyramid.

    Args:
        model (str | nn.Module): Name of a timm model, or the model itself. It needs `blocks` and
            `forward_intermediates`, which timm's vision transformers have.
        out_indices (Sequence[int]): Blocks whose outputs become the maps, shallow to deep; the
            first becomes the finest. Default: four, evenly spaced; 7, 11, 15, 23 of 24 blocks.
        reins_config (dict, optional): Adapter to build, an `Adapter` such as `LoRAReins`.
        frozen (bool): Freeze the model's weights. The adapter always trains. Otherwise the weights
            before the last used block train; those after it become buffers.
        with_cp (bool): Checkpoint activations: training keeps only each block's input and
            recomputes the rest in the backward pass. Saves memory, costs time.
        init_cfg (dict, optional): `dict(type='Pretrained', checkpoint=PATH)`, a file with the
            model's weights and no adapter, as written by tools/convert_models.
        **kwargs: Passed to `timm.create_model` if `model` is a name.

    Shape:
        Images (B, 3, H, W), normalised, any H and W; they are zero-padded at the right and bottom
        to multiples of the patch size. Maps (B, C, h, w) at strides 4, 8, 16, 32 of
        the padded image.

    Raises:
        UserError: An argument is unknown or has no effect, or the adapter does not fit the model.
    """

    def __init__(
        self,
        model: str | nn.Module,
        out_indices: Sequence[int] | None = None,
        reins_config: dict | None = None,
        frozen: bool = True,
        with_cp: bool = False,
        init_cfg: dict | None = None,
        **kwargs,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        if isinstance(model, str):
            _refuse_inert_dropout(kwargs if frozen else {})
            model = self._create(model, kwargs)
        else:
            refuse_unknown(
                type(self).__name__, kwargs,
                known_arguments(type(self), VisionFoundationModel) - {"model"})
        self.model = model
        self.out_indices = tuple(out_indices or _default_out_indices(len(model.blocks)))
        if not all(isinstance(i, int) and 0 <= i < len(model.blocks) for i in self.out_indices):
            raise UserError(
                f"{type(self).__name__}: out_indices is {list(self.out_indices)}, but the network "
                f"has blocks 0 to {len(model.blocks) - 1}. Choose four of these.")
        self.embed_dims = model.embed_dim
        self.frozen = frozen
        if frozen:
            freeze(self.model)
        else:
            _exclude_unused(model, max(self.out_indices))
        model.set_grad_checkpointing(with_cp)
        self.reins = MODELS.build(reins_config) if reins_config else None
        if self.reins is not None:
            self.reins.attach(model, [list(model.blocks)], model.num_prefix_tokens)
        # state dicts use the published names, whatever the nesting in memory
        self.register_state_dict_post_hook(to_published)
        self.register_load_state_dict_pre_hook(from_published)

    def _create(self, name: str, arguments: dict) -> nn.Module:
        """Create the timm network `name`."""
        try:
            return timm.create_model(
                name, num_classes=0, dynamic_img_size=True, dynamic_img_pad=True, **arguments)
        except TypeError as error:
            unknown = re.search(r"unexpected keyword argument '(\w+)'", str(error))
            if unknown is None or unknown.group(1) not in arguments:
                raise
            own = known_arguments(type(self), VisionFoundationModel)
            refuse_unknown(f"{type(self).__name__}, model={name!r},", [unknown.group(1)], own)
            raise

    def forward(self, images: Tensor) -> Pyramid:
        """Compute the feature pyramid.

        Args:
            images: (B, 3, H, W), normalised.

        Returns:
            Four maps (B, C, H/4, W/4) to (B, C, H/32, W/32), each side rounded down, and the
            adapter's queries.
        """
        taken = sorted(set(self.out_indices))
        outputs = dict(zip(taken, self.model.forward_intermediates(
            images, indices=taken, norm=False, stop_early=True, output_fmt="NCHW",
            intermediates_only=True), strict=True))
        maps = [outputs[index] for index in self.out_indices]
        patch_height, patch_width = self.model.patch_embed.patch_size
        height, width = maps[0].shape[-2] * patch_height, maps[0].shape[-1] * patch_width
        sizes = [(max(height // stride, 1), max(width // stride, 1)) for stride in PYRAMID_STRIDES]
        queries = None if self.reins is None else self.reins.queries()
        return Pyramid(maps, sizes, queries, image_size=(height, width))

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
            state_dict: Weights under DINOv2's names, without prefix.
            source: The file, named in messages.
        """
        adapter = {name for name in self.state_dict() if name.startswith("reins.")}
        load_strictly(self, state_dict, source, may_miss={"adapter": adapter})
        if self.reins is not None:
            self.reins.on_pretrained()


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
