"""Queries that join the tokens in the last blocks, so that the backbone itself decodes masks.

Source: Kerssies et al., "Your ViT is Secretly an Image Segmentation Model" (EoMT), CVPR 2025,
arXiv:2503.19108.
"""

import inspect
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated

import torch
from mmengine.logging import MessageHub
from mmseg.registry import MODELS
from timm.layers import LayerNorm2d
from torch import Tensor, nn

from rein.errors import UserError
from rein.models.adapters.base import Adapter
from rein.models.pyramid import FINEST_STRIDE, MaskQueries, resize
from rein.values import COUNT


@dataclass
class _Run:
    """State of one forward pass, shared by the hooks.

    Attributes:
        queries: (B, m, c), as the last block left them.
        grid: Patches (h, w).
        patches: (B, n, c), output of the last block; None before.
        layers: Predictions before each of the last blocks, in training.
    """

    queries: Tensor
    grid: tuple[int, int]
    patches: Tensor | None = None
    layers: list[MaskQueries] = field(default_factory=list)


@MODELS.register_module()
class EncoderOnlyQueries(Adapter):
    """Inserts learned queries before the last L blocks and computes their masks.

    With queries q (m x c) and patches f (n x c) in the residual stream, and the norm LN:

        [.., q, f] = block([.., q, f])                            in each of the last L blocks
        masks      = MLP(LN(q)) upscale(LN(f))^T                  at stride 4

    Training also computes the masks before each of these blocks. Query i then attends to patch j
    only where its mask is positive, with the probability `masking_probability`, which falls to 0
    during training. Inference therefore needs no masks. Other tokens attend to everything.

    `upscale` doubles the map until stride 4 (rounded: 3.5 for patches of 14): a transposed
    convolution, GELU, a depthwise 3x3 convolution and a norm each time. LN starts from the
    network's final norm. In a `Combined`, name it last, so that the others refine the last patches
    before the masks.

    Args:
        num_queries (int): Queries m.
        num_blocks (int): Blocks L with queries; EoMT: 3 for ViT-S and ViT-B, 4 for ViT-L.
        **kwargs: None; others are refused.

    Raises:
        UserError: The network has several stages, fewer than L blocks, or blocks whose attention
            takes no mask.
    """

    def __init__(
        self,
        num_queries: Annotated[int, COUNT] = 100,
        num_blocks: Annotated[int, COUNT] = 4,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.num_queries = num_queries
        self.num_blocks = num_blocks
        self._run: _Run | None = None
        self._num_patches = 0

    def attach(
        self, network: nn.Module, stages: Sequence[Sequence[nn.Module]], num_prefix_tokens: int,
    ) -> None:
        """Hook onto the last blocks and the patch embedding; see `Adapter.attach`."""
        blocks = self._last_blocks(stages)
        width, patch_size = network.embed_dim, max(network.patch_embed.patch_size)
        self.query_embed = nn.Parameter(torch.randn(self.num_queries, width))
        self.final_norm = [network.norm]  # a list hides the frozen layer from PyTorch
        self.norm = nn.LayerNorm(width, eps=getattr(network.norm, "eps", 1e-6))
        self.mask_embed = nn.Sequential(
            nn.Linear(width, width), nn.GELU(), nn.Linear(width, width), nn.GELU(),
            nn.Linear(width, width))
        doublings = max(round(math.log2(patch_size / FINEST_STRIDE)), 0)
        self.upscale = nn.Sequential(*(_doubling(width) for _ in range(doublings)))
        network.patch_embed.register_forward_pre_hook(self._begin)
        for index, block in enumerate(blocks):
            # first in, first out: other adapters meet the queries in no block's input or output
            block.register_forward_pre_hook(
                partial(self._insert, index, num_prefix_tokens), prepend=True, with_kwargs=True)
            block.register_forward_hook(self._take_out, prepend=True)
            block.attn.register_forward_pre_hook(_complete_mask, with_kwargs=True)
            if hasattr(block.attn, "num_prefix_tokens"):
                block.attn.num_prefix_tokens += self.num_queries  # rotary positions skip queries
        blocks[-1].register_forward_hook(self._keep_patches)

    def _last_blocks(self, stages: Sequence[Sequence[nn.Module]]) -> list[nn.Module]:
        """Return the last L blocks of a network that fits."""
        if len(stages) != 1:
            raise UserError("EncoderOnlyQueries needs a plain vision transformer: the blocks of "
                            f"this backbone ({len(stages)} stages) take maps, not tokens.")
        blocks = list(stages[0])
        if not 1 <= self.num_blocks <= len(blocks):
            raise UserError(f"EncoderOnlyQueries: num_blocks={self.num_blocks}, but the backbone "
                            f"has {len(blocks)} blocks.")
        attention = getattr(blocks[-1], "attn", None)
        for module in (blocks[-1], attention):
            if module is None or "attn_mask" not in inspect.signature(module.forward).parameters:
                raise UserError("EncoderOnlyQueries needs blocks whose attention takes a mask; "
                                f"{type(blocks[-1]).__name__} of this backbone takes none.")
        return blocks[-self.num_blocks:]

    def on_pretrained(self) -> None:
        """Start the norm from the network's final one."""
        if isinstance(self.final_norm[0], nn.LayerNorm):
            self.norm.load_state_dict(self.final_norm[0].state_dict(), strict=False)

    def _begin(self, patch_embed: nn.Module, args: tuple) -> None:
        """Start a forward pass on images (B, 3, H, W), (a pre-hook)."""
        images = args[0]
        self._run = _Run(
            self.query_embed.expand(images.shape[0], -1, -1),
            patch_embed.dynamic_feat_size(images.shape[-2:]))

    def _insert(
        self, index: int, num_prefix_tokens: int, block: nn.Module, args: tuple, kwargs: dict,
    ) -> tuple[tuple, dict]:
        """Insert the queries into a block's input (B, prefix + n, c), (a pre-hook)."""
        feats, run = args[0], self._run
        if run is None:  # the backward pass repeats a checkpointed block
            queries, grid = feats.run
        else:
            queries, grid = run.queries, run.grid
            if torch.is_grad_enabled():
                feats.run = queries, grid
        prefix, patches = feats[:, :num_prefix_tokens], feats[:, num_prefix_tokens:]
        self._num_patches = patches.shape[1]
        if self.training:
            predicted = self._predict(queries, patches, grid)
            if run is not None:
                run.layers.append(predicted)
            masked = draw_masked(index, self.num_blocks, queries)
            if masked is not None:
                kwargs = {**kwargs, "attn_mask": _positive(predicted, grid) | ~masked}
        return (torch.cat((prefix, queries.to(feats.dtype), patches), dim=1), *args[1:]), kwargs

    def _take_out(self, block: nn.Module, args: tuple, output: Tensor) -> Tensor:
        """Take the queries out of a block's output, (a forward hook)."""
        end = output.shape[1] - self._num_patches
        start = end - self.num_queries
        if self._run is not None:
            self._run.queries = output[:, start:end]
        return torch.cat((output[:, :start], output[:, end:]), dim=1)

    def _keep_patches(self, block: nn.Module, args: tuple, output: Tensor) -> None:
        """Keep the patches of the last block's output for `queries`, (a forward hook)."""
        if self._run is not None:
            self._run.patches = output[:, output.shape[1] - self._num_patches:]

    def _predict(self, queries: Tensor, patches: Tensor, grid: tuple[int, int]) -> MaskQueries:
        """Compute queries, mask embeddings and upscaled features from the residual stream."""
        dtype = self.query_embed.dtype
        queries, patches = self.norm(queries.to(dtype)), self.norm(patches.to(dtype))
        maps = patches.transpose(1, 2).unflatten(2, grid)
        return MaskQueries(queries, self.mask_embed(queries), self.upscale(maps))

    def queries(self) -> tuple[MaskQueries, ...] | None:
        """Return the predictions of the last forward pass.

        Returns:
            In training L + 1, before the first and after each of the last blocks; else the last.
            None before a forward pass.
        """
        run, self._run = self._run, None
        if run is None or run.patches is None:
            return None
        return *run.layers, self._predict(run.queries, run.patches, run.grid)


def _doubling(width: int) -> nn.Sequential:
    """Create layers that double the size of maps (B, c, h, w)."""
    return nn.Sequential(
        nn.ConvTranspose2d(width, width, 2, stride=2), nn.GELU(),
        nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False), LayerNorm2d(width))


@torch.no_grad()
def _positive(predicted: MaskQueries, grid: tuple[int, int]) -> Tensor:
    """Tell where masks resized to the grid (h, w) are positive: bool (B, m, h * w)."""
    # resizing and products with embeddings commute: resize first, for smaller products
    return predicted.embeds @ resize(predicted.feats, grid).flatten(2) > 0


def _complete_mask(attention: nn.Module, args: tuple, kwargs: dict) -> tuple | None:
    """Extend a mask (B, m, n) of queries and patches to all tokens, (a pre-hook).

    The patches are last and the queries just before them, whatever other adapters inserted.
    """
    allowed = kwargs.get("attn_mask")
    if allowed is None:
        return None
    count, (batch, queries, patches) = args[0].shape[1], allowed.shape
    mask = allowed.new_ones(batch, 1, count, count)
    mask[:, 0, count - patches - queries:count - patches, count - patches:] = allowed
    return args, {**kwargs, "attn_mask": mask}


@torch.compiler.disable
def draw_masked(index: int, num_blocks: int, queries: Tensor) -> Tensor | None:
    """Draw the queries whose attention is masked in a block, at this moment of training.

    Args:
        index: Index of the block among those with queries.
        num_blocks: Their number, L.
        queries: (B, m, c).

    Returns:
        bool (B, m, 1); None if masks are no longer used.
    """
    hub = MessageHub.get_current_instance()
    progress = hub.get_info("iter", 0) / max(hub.get_info("max_iters", 1), 1)
    probability = masking_probability(progress, index, num_blocks)
    if not probability:
        return None
    return torch.rand(*queries.shape[:2], 1, device=queries.device) < probability


def masking_probability(progress: float, index: int, num_blocks: int) -> float:
    """Return the probability of masking a query's attention in a block.

    It is 1 until the fraction (i + 1) / (L + 2) of training, and falls to 0 at (i + 2) / (L + 2)
    with the power 0.9, so that one block after the other loses its masks. These are the steps in
    EoMT's config for COCO and ViT-L: 14,782 to 73,910 of about 88,700, in four equal parts.

    Args:
        progress: Fraction of training done, 0 to 1.
        index: Index i of the block among the L with queries.
        num_blocks: L.
    """
    left = index + 2 - progress * (num_blocks + 2)
    return min(max(left, 0.0), 1.0) ** 0.9
