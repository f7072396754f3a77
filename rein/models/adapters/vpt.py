"""Visual prompt tuning: learned tokens beside the patches.

Source: Jia et al., Visual Prompt Tuning, arXiv:2203.12119.
"""

import math
import re
from collections.abc import Sequence
from functools import partial
from typing import Annotated

import torch
from mmseg.registry import MODELS
from torch import Tensor, nn

from rein.errors import UserError
from rein.models.adapters.base import Adapter
from rein.values import COUNT, DROPOUT

_RELATIVE = re.compile("rel_pos|relative_position|pos_proj")  # timm's names; the last is ConViT's


@MODELS.register_module()
class VPT(Adapter):
    """Lets the blocks attend to learned prompts, which are taken out of each output.

    Deep: every block gets prompts of its own. Shallow: the first block gets prompts, and each next
    one gets what the block before made of them.

    Args:
        num_tokens (int): Prompts m.
        deep (bool): Deep instead of shallow.
        dropout (float): Probability of dropping a prompt's value in training.
        **kwargs: None; others are refused.

    Raises:
        UserError: The network has several stages, blocks that take maps instead of tokens, or
            attention with relative positions, which prompts lack; or shallow prompts are lost,
            because another adapter of `Combined` comes after them.
    """

    def __init__(
        self,
        num_tokens: Annotated[int, COUNT] = 150,
        deep: bool = True,
        dropout: Annotated[float, DROPOUT] = 0.0,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.num_tokens = num_tokens
        self.deep = deep
        self.dropout = nn.Dropout(dropout)

    def attach(
        self, network: nn.Module, stages: Sequence[Sequence[nn.Module]], num_prefix_tokens: int,
    ) -> None:
        """Hook onto every block; see `Adapter.attach`."""
        if len(stages) != 1:
            raise UserError("VPT needs a plain vision transformer: the blocks of this backbone "
                            f"({len(stages)} stages) take maps, not tokens.")
        _refuse_relative_positions(network)
        blocks, width = stages[0], network.embed_dim
        # Xavier's bound for the patch embedding (arXiv:2203.12119, supplement A)
        bound = math.sqrt(6 / (3 * math.prod(network.patch_embed.patch_size) + width))
        self.prompts = nn.Parameter(torch.empty(
            len(blocks) if self.deep else 1, self.num_tokens, width).uniform_(-bound, bound))
        for index, block in enumerate(blocks):
            block.register_forward_pre_hook(
                partial(self._insert, index, num_prefix_tokens))
            block.register_forward_hook(partial(self._take_out, num_prefix_tokens))
            attention = getattr(block, "attn", None)
            if hasattr(attention, "num_prefix_tokens"):
                attention.num_prefix_tokens += self.num_tokens  # rotary positions skip prompts

    def _insert(self, index: int, num_prefix_tokens: int, block: nn.Module, args: tuple) -> tuple:
        """Insert prompts into a block's input (B, prefix + n, c), (a pre-hook)."""
        feats = args[0]
        if self.deep or index == 0:
            prompts = self.dropout(self.prompts[index]).expand(len(feats), -1, -1)
        elif hasattr(feats, "prompts"):
            prompts = feats.prompts
        else:
            raise UserError("VPT with deep=False finds no prompts: another adapter replaced the "
                            "output that carried them. Name VPT last in `Combined`.")
        prefix, patches = feats[:, :num_prefix_tokens], feats[:, num_prefix_tokens:]
        return (torch.cat((prefix, prompts.to(feats.dtype), patches), dim=1), *args[1:])

    def _take_out(
        self, num_prefix_tokens: int, block: nn.Module, args: tuple, output: Tensor,
    ) -> Tensor:
        """Take the prompts out of a block's output, (a forward hook)."""
        end = num_prefix_tokens + self.num_tokens
        feats = torch.cat((output[:, :num_prefix_tokens], output[:, end:]), dim=1)
        if not self.deep:  # carried by the tensor, so that a checkpointed block finds them again
            feats.prompts = output[:, num_prefix_tokens:end]
        return feats


def _refuse_relative_positions(network: nn.Module) -> None:
    """Raise if blocks take maps, or attention has positions for pairs of patches.

    Raises:
        UserError: The network has one of these.
    """
    kind, positions = type(network).__name__, getattr(network, "pos_embed", None)
    if isinstance(positions, Tensor) and positions.ndim == 4:
        raise UserError(f"VPT needs blocks that take tokens; those of {kind} take maps. Choose "
                        "another adapter, such as LoRAReins or LoRA.")
    name = next((name for name, _ in network.named_parameters() if _RELATIVE.search(name)), None)
    if name is not None:
        raise UserError(f"VPT: the attention of {kind} has relative positions ({name}), which "
                        "prompts lack. Choose another adapter, such as LoRAReins or LoRA.")
