"""DINOv2 under its published type names and keyword arguments, built from timm's network.

Source: DINOv2 (Oquab et al., arXiv:2304.07193). timm's VisionTransformer computes the same function
with the same parameter names.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from timm.layers import SwiGLUPacked
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from rein.checkpoint.families import DINOV2
from rein.models.adapters.soma import soma_config
from rein.models.backbones.vfm import VisionFoundationModel


@MODELS.register_module()
class DinoVisionTransformer(VisionFoundationModel):
    """DINOv2 for full fine-tuning, or frozen by its segmentor.

    Args:
        img_size (int | Sequence[int]): Image height and width of the position grid, pixels.
        patch_size (int): Patch side, pixels.
        embed_dim (int): Channels C.
        depth (int): Blocks N.
        num_heads (int): Attention heads.
        mlp_ratio (float): Width of the hidden layer divided by C.
        ffn_layer (str): 'mlp', or 'swiglufused' as in ViT-g.
        init_values (float): Initial layer scale.
        num_register_tokens (int): Registers, 0 or 4 (Darcet et al., arXiv:2309.16588).
        qkv_bias (bool): Biases in the attention's input projection.
        proj_bias (bool): Biases in the attention's output projection.
        ffn_bias (bool): Must be True, as in every released DINOv2.
        block_chunks (int): Must be 0, as in every released DINOv2.
        lora_cfg (dict, optional): SoMA's adapter in its published form, on the frozen network;
            see `soma_config`.
        soma_network (bool): The frozen network of SoMA's program, which resamples positions in its
            own way. Set in configs whose `lora_cfg` was folded; always on with a `lora_cfg`.
        **kwargs: As for `VisionFoundationModel`.
    """

    FAMILY = DINOV2
    FROZEN = False

    def __init__(
        self,
        img_size: int | Sequence[int] = 512,
        patch_size: int = 16,
        embed_dim: int = 1024,
        depth: int = 24,
        num_heads: int = 16,
        mlp_ratio: float = 4,
        ffn_layer: str = "mlp",
        init_values: float = 1e-5,
        num_register_tokens: int = 0,
        qkv_bias: bool = True,
        proj_bias: bool = True,
        ffn_bias: bool = True,
        block_chunks: int = 0,
        lora_cfg: dict | None = None,
        soma_network: bool = False,
        **kwargs,
    ) -> None:
        if not ffn_bias or block_chunks:
            raise ValueError(
                f"ffn_bias={ffn_bias}, block_chunks={block_chunks}: released DINOv2 weights have "
                "ffn_bias=True, block_chunks=0.")
        soma_network = soma_network or lora_cfg is not None
        build = _SoMANetwork if soma_network and not num_register_tokens else VisionTransformer
        network = build(
            img_size=img_size, patch_size=patch_size, embed_dim=embed_dim, depth=depth,
            num_heads=num_heads, init_values=init_values, qkv_bias=qkv_bias, proj_bias=proj_bias,
            reg_tokens=num_register_tokens, no_embed_class=num_register_tokens > 0,
            num_classes=0, dynamic_img_size=True,
            **_feed_forward(ffn_layer, mlp_ratio))
        if lora_cfg is not None:
            kwargs["reins_config"] = soma_config(lora_cfg, depth)
        super().__init__(network, frozen=self.FROZEN or soma_network, **kwargs)


@MODELS.register_module()
class ReinsDinoVisionTransformer(DinoVisionTransformer):
    """A frozen DINOv2 network with a Rein adapter after every block (arXiv:2312.04265).

    Args:
        reins_config (dict): The adapter, `Reins` or `LoRAReins`.
        **kwargs: As for `DinoVisionTransformer`.
    """

    FROZEN = True

    def __init__(self, reins_config: dict, **kwargs) -> None:
        super().__init__(reins_config=reins_config, **kwargs)


class _SoMANetwork(VisionTransformer):
    """timm's network with positions for other image sizes as in SoMA's program.

    It resamples by a factor, ((h + 0.1) / g, (w + 0.1) / g), as DINOv2's own code does.
    """

    def _pos_embed(self, x: Tensor) -> Tensor:
        """Add the class token and positions to patches (B, h, w, C)."""
        size, grid = tuple(x.shape[1:3]), tuple(self.patch_embed.grid_size)
        if size == grid:
            return super()._pos_embed(x)
        positions = self.pos_embed[:, 1:].unflatten(1, grid).permute(0, 3, 1, 2)
        positions = F.interpolate(
            positions, scale_factor=[(n + 0.1) / g for n, g in zip(size, grid, strict=True)],
            mode="bicubic").flatten(2).transpose(1, 2)
        tokens = torch.cat((self.cls_token.expand(len(x), -1, -1), x.flatten(1, 2)), dim=1)
        return self.pos_drop(tokens + torch.cat((self.pos_embed[:, :1], positions), dim=1))


def _feed_forward(ffn_layer: str, mlp_ratio: float) -> dict:
    """Return timm's arguments for a DINOv2 feed-forward layer."""
    if ffn_layer == "mlp":
        return dict(mlp_ratio=mlp_ratio)
    if ffn_layer in ("swiglu", "swiglufused"):
        # DINOv2 shrinks gated layers to 2/3; timm's width counts both halves
        return dict(mlp_ratio=mlp_ratio * 2 / 3 * 2, mlp_layer=SwiGLUPacked, act_layer=nn.SiLU)
    raise ValueError(f"ffn_layer {ffn_layer!r} is unknown; known: mlp, swiglu, swiglufused.")
