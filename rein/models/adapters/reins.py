"""Rein adapters: learnable tokens that refine the features of a frozen backbone, block by block.

Source: Wei et al., "Stronger, Fewer, & Superior", CVPR 2024 (arXiv:2312.04265), section 3.
"""

import math
from collections.abc import Sequence
from functools import partial
from typing import Annotated

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor, nn

from rein.errors import UserError
from rein.models.adapters.base import Adapter
from rein.models.stages import Stage, from_tokens, to_tokens
from rein.values import COUNT, FINITE


@MODELS.register_module()
class Reins(Adapter):
    """Rein adapter with one full-rank set of tokens per block (arXiv:2312.04265, section 3.2).

    For block i with patch features f (n x c) and tokens T_i (m x c):

        S  = softmax(f T_i^T / sqrt(c))            over the m tokens
        D  = S[:, 1:] (T_i[1:] W_T + b_T)          token 0 is a sink
        f' = f + s * ((D + f) W_f + b_f)

    A forward hook on every block replaces its output. The tokens of all blocks also produce
    the decode head's queries, see `queries`.

    Args:
        num_layers (int): Blocks to refine, N; each has its own tokens.
        embed_dims (int): Channels c of the frozen features.
        patch_size (int): Patch size p of the backbone; only sets the tokens' initial range.
        query_dims (int): Channels q of the linked queries; the head's feature channels.
        token_length (int): Tokens per block, m; also the number of linked queries.
        use_softmax (bool): Normalise similarities by a softmax. False: plain dot products.
        link_token_to_query (bool): Provide queries to the head.
        scale_init (float): Initial value of the learnable scale s.
        zero_mlp_delta_f (bool): Start from W_f = 0 with s fixed at 1, instead of a small s.
        **kwargs: Must be empty; unknown arguments raise.
    """

    ONE_PER_STAGE = True

    def __init__(
        self,
        num_layers: Annotated[int, COUNT],
        embed_dims: Annotated[int, COUNT],
        patch_size: Annotated[int, COUNT],
        query_dims: Annotated[int, COUNT] = 256,
        token_length: Annotated[int, COUNT] = 100,
        use_softmax: bool = True,
        link_token_to_query: bool = True,
        scale_init: Annotated[float, FINITE] = 0.001,
        zero_mlp_delta_f: bool = False,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.num_layers = num_layers
        self.embed_dims = embed_dims
        self.patch_size = patch_size
        self.query_dims = query_dims
        self.token_length = token_length
        self.use_softmax = use_softmax
        self.link_token_to_query = link_token_to_query
        self.zero_mlp_delta_f = zero_mlp_delta_f

        self.create_tokens()
        self.mlp_token2feat = nn.Linear(embed_dims, embed_dims)
        self.mlp_delta_f = nn.Linear(embed_dims, embed_dims)
        nn.init.kaiming_uniform_(self.mlp_token2feat.weight, a=math.sqrt(5))
        nn.init.kaiming_uniform_(self.mlp_delta_f.weight, a=math.sqrt(5))
        if zero_mlp_delta_f:
            self.scale = 1.0
            nn.init.zeros_(self.mlp_delta_f.weight)
            nn.init.zeros_(self.mlp_delta_f.bias)
        else:
            self.scale = nn.Parameter(torch.tensor(float(scale_init)))
        if link_token_to_query:
            self.transform = nn.Linear(embed_dims, query_dims)
            self.merge = nn.Linear(3 * query_dims, query_dims)

    def create_tokens(self) -> None:
        """Create the token parameters from U(-a, a), with a as in visual prompt tuning."""
        self.learnable_tokens = nn.Parameter(
            torch.empty(self.num_layers, self.token_length, self.embed_dims))
        bound = math.sqrt(6 / (3 * self.patch_size**2 + self.embed_dims))
        nn.init.uniform_(self.learnable_tokens, -bound, bound)

    def tokens(self, layer: int | None = None) -> Tensor:
        """Return the tokens of one block (m, c), or of all blocks (N, m, c)."""
        return self.learnable_tokens if layer is None else self.learnable_tokens[layer]

    def attach(
        self, network: nn.Module, stages: Sequence[Stage], num_prefix_tokens: int,
    ) -> None:
        """Hook onto every block of one stage; see `Adapter.attach`."""
        (stage,) = stages
        if len(stage) != self.num_layers or stage.width != self.embed_dims:
            raise UserError(
                f"{type(self).__name__} has num_layers={self.num_layers}, "
                f"embed_dims={self.embed_dims}; the backbone has {len(stage)} blocks of width "
                f"{stage.width}. Leave both out to derive them from the backbone.")
        for layer, block in enumerate(stage):
            block.register_forward_hook(partial(
                self._refine_output, layer, num_prefix_tokens, stage.channels_first))

    def _refine_output(
        self, layer: int, num_prefix_tokens: int, channels_first: bool,
        block: nn.Module, args: tuple, output: Tensor,
    ) -> Tensor:
        """Refine the output of block `layer`, tokens or a map (a forward hook)."""
        refined = self(to_tokens(output, channels_first), layer, num_prefix_tokens)
        return from_tokens(refined, output, channels_first)

    def forward(self, feats: Tensor, layer: int, num_prefix_tokens: int = 1) -> Tensor:
        """Refine the output of one block.

        Args:
            feats: (B, prefix + n, c), prefix tokens (class token, registers) first.
            layer: Index of the block, 0 to N - 1.
            num_prefix_tokens: Tokens at the front that pass unchanged.

        Returns:
            (B, prefix + n, c).
        """
        prefix, patches = feats.split(
            (num_prefix_tokens, feats.shape[1] - num_prefix_tokens), dim=1)
        # factors independent of the features are folded, leaving one c x c product with them:
        # s ((D + f) W_f + b_f) = f (s W_f) + S V + s b_f, with V = [0; T_i[1:] W_T + b_T] (s W_f);
        # transposed, because a subclass's s may be a vector (c,)
        weight = (self.scale * self.mlp_delta_f.weight.T).T
        bias = self.scale * self.mlp_delta_f.bias
        tokens = self.tokens(layer)
        values = F.linear(self.mlp_token2feat(tokens[1:]), weight)
        values = F.pad(values, (0, 0, 1, 0))  # token 0 absorbs attention that should change nothing
        if self.use_softmax:
            attention = F.linear(patches, tokens * self.embed_dims**-0.5).softmax(dim=-1)
        else:
            attention = F.linear(patches, tokens)
        return torch.cat(
            (prefix, patches + (F.linear(patches, weight, bias) + attention @ values)), dim=1)

    def queries(self) -> Tensor | None:
        """Link the tokens of all blocks to the head's queries.

        Returns:
            (m, q): per query channel the maximum and mean over the blocks and the last block's
            value, interleaved, merged by one linear layer. None without `link_token_to_query`.
        """
        if not self.link_token_to_query:
            return None
        per_layer = self.transform(self.tokens())  # (N, m, q)
        merged = torch.stack((per_layer.amax(0), per_layer.mean(0), per_layer[-1]), dim=-1)
        return self.merge(merged.flatten(-2))


@MODELS.register_module()
class LoRAReins(Reins):
    """Rein adapter whose tokens are low rank, T_i = A_i B_i (arXiv:2312.04265, section 3.3).

    Args:
        lora_dim (int): Rank r of the tokens, much smaller than c.
        **kwargs: As for `Reins`.
    """

    def __init__(self, lora_dim: Annotated[int, COUNT] = 16, **kwargs) -> None:
        self.lora_dim = lora_dim
        super().__init__(**kwargs)

    def create_tokens(self) -> None:
        """Create the factors A (N, m, r) and B (N, r, c), each from U(-a, a)."""
        self.learnable_tokens_a = nn.Parameter(
            torch.empty(self.num_layers, self.token_length, self.lora_dim))
        self.learnable_tokens_b = nn.Parameter(
            torch.empty(self.num_layers, self.lora_dim, self.embed_dims))
        bound = math.sqrt(
            6 / (3 * self.patch_size**2 + math.sqrt(self.embed_dims * self.lora_dim)))
        nn.init.uniform_(self.learnable_tokens_a, -bound, bound)
        nn.init.uniform_(self.learnable_tokens_b, -bound, bound)

    def tokens(self, layer: int | None = None) -> Tensor:
        """Return the tokens of one block (m, c), or of all blocks (N, m, c)."""
        if layer is None:
            return self.learnable_tokens_a @ self.learnable_tokens_b
        return self.learnable_tokens_a[layer] @ self.learnable_tokens_b[layer]
