"""Any vision transformer of timm as a frozen backbone with an adapter after every block.

Sources: timm (https://github.com/huggingface/pytorch-image-models) for the networks; Wei et al.,
arXiv:2312.04265 for where the adapter goes and for the feature pyramid.
"""

from collections.abc import Callable, Sequence
from functools import partial

import timm
import torch
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint, create_selective_checkpoint_contexts

from rein.checkpoint import load_backbone, load_strictly
from rein.models.backbones.published_keys import from_published, to_published
from rein.models.freezing import freeze
from rein.models.pyramid import Pyramid

PYRAMID_STRIDES = (4, 8, 16, 32)

# costly to compute again and small to keep: the forms of torch's fused attention
_ATTENTION = [getattr(torch.ops.aten, f"_scaled_dot_product_{kind}").default for kind in (
    "flash_attention_for_cpu", "flash_attention", "efficient_attention", "cudnn_attention")]


@MODELS.register_module()
class VisionFoundationModel(BaseModule):
    """A vision foundation model whose four intermediate maps become a feature pyramid.

    Args:
        model (str | nn.Module): Name of a timm model, or the model. It needs `blocks` and
            `forward_intermediates`, as timm's vision transformers have.
        out_indices (Sequence[int]): Blocks whose outputs become the maps, shallow to deep; the
            first becomes the finest. Default: four, evenly spaced (7, 11, 15, 23 of 24 blocks).
        reins_config (dict, optional): Adapter to build; it refines the output of every block.
        frozen (bool): Keep the model's weights out of training. The adapter always trains.
        with_cp (bool): Checkpoint activations: training keeps each block's input and attention
            alone and computes the rest again in the backward pass: less memory, more time.
        init_cfg (dict, optional): `dict(type='Pretrained', checkpoint=PATH)` with weights of the
            model alone, as tools/convert_models writes them.
        **kwargs: Passed to `timm.create_model` if `model` is a name.

    Shape:
        Images (B, 3, H, W), normalised, any H and W; they are zero-padded on the right and at
        the bottom to multiples of the patch size. Maps (B, C, h, w) at strides 4, 8, 16, 32 of
        the padded image.
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
            model = timm.create_model(
                model, num_classes=0, dynamic_img_size=True, dynamic_img_pad=True, **kwargs)
        self.model = model
        self.out_indices = tuple(out_indices or _default_out_indices(len(model.blocks)))
        self.embed_dims = model.embed_dim
        self.frozen = frozen
        self.with_cp = with_cp
        if frozen:
            freeze(self.model)
        self.reins = MODELS.build(reins_config) if reins_config else None
        self._shared = None  # what the adapter's blocks share, while `forward` runs
        if self.reins is not None:
            self._check_adapter()
        for layer, block in enumerate(model.blocks):
            block.forward = partial(self._run_block, layer, block.forward)
        # state dicts hold the published names, whatever the nesting in memory
        self.register_state_dict_post_hook(to_published)
        self.register_load_state_dict_pre_hook(from_published)

    def _check_adapter(self) -> None:
        found, expected = self.reins.num_layers, len(self.model.blocks)
        if found != expected or self.reins.embed_dims != self.embed_dims:
            raise ValueError(
                f"the adapter has num_layers={found}, embed_dims={self.reins.embed_dims}; "
                f"the backbone has {expected} blocks of width {self.embed_dims}.")

    def _run_block(self, layer: int, forward: Callable, feats: Tensor, **kwargs) -> Tensor:
        """Run block `layer` by its own `forward`; the adapter's output replaces the block's."""

        def run(feats: Tensor, shared: tuple | None) -> Tensor:
            feats = forward(feats, **kwargs)
            if self.reins is None:
                return feats
            return self.reins(feats, layer, self.model.num_prefix_tokens, shared)

        if not (self.with_cp and torch.is_grad_enabled()):
            return run(feats, self._shared)
        return checkpoint(
            run, feats, self._shared, use_reentrant=False,
            context_fn=partial(create_selective_checkpoint_contexts, _ATTENTION))

    def forward(self, images: Tensor) -> Pyramid | tuple[Pyramid, Tensor]:
        """Compute the feature pyramid.

        Args:
            images: (B, 3, H, W), normalised.

        Returns:
            Four maps (B, C, H/4, W/4) to (B, C, H/32, W/32), resized as they are asked for; with
            an adapter that links its tokens to queries, a pair of these and the queries (m, q).
        """
        taken = sorted(set(self.out_indices))
        self._shared = self.reins.shared() if self.reins is not None else None
        outputs = dict(zip(taken, self.model.forward_intermediates(
            images, indices=taken, norm=False, stop_early=True, output_fmt="NCHW",
            intermediates_only=True), strict=True))
        self._shared = None
        maps = [outputs[index] for index in self.out_indices]
        patch_height, patch_width = self.model.patch_embed.patch_size
        height, width = maps[0].shape[-2] * patch_height, maps[0].shape[-1] * patch_width
        pyramid = Pyramid(maps, [
            (max(round(height / stride), 1), max(round(width / stride), 1))
            for stride in PYRAMID_STRIDES])
        if self.reins is not None and self.reins.link_token_to_query:
            return pyramid, self.reins.queries()
        return pyramid

    def train(self, mode: bool = True) -> "VisionFoundationModel":
        """Set the mode; a frozen model stays in evaluation mode."""
        super().train(mode)
        if self.frozen:
            self.model.eval()
        return self

    def init_weights(self) -> None:
        """Load the pretrained weights named by `init_cfg`.

        Raises:
            UserError: The file is missing or does not fit.
        """
        if self.init_cfg is None or self.is_init:
            return
        path = self.init_cfg["checkpoint"]
        self.load_pretrained(load_backbone(path), path)
        self.is_init = True

    def load_pretrained(self, state_dict: dict[str, Tensor], source: str) -> None:
        """Load weights of the model alone (no adapter), strictly.

        Args:
            state_dict: Weights under DINOv2's names, without prefix.
            source: The file, for messages.
        """
        adapter = {name for name in self.state_dict() if name.startswith("reins.")}
        load_strictly(self, state_dict, source, may_miss={"adapter": adapter})


def _default_out_indices(depth: int) -> list[int]:
    """Return four blocks, evenly spaced but for the deepest; as published for 24 blocks."""
    if depth == 24:
        return [7, 11, 15, 23]
    return [max(depth * i // 4 - 1, 0) for i in (1, 2, 3, 4)]
