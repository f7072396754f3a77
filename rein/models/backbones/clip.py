"""CLIP's vision transformer under its published type name, built from timm's network.

Source: CLIP (Radford et al., arXiv:2103.00020).
"""

from collections.abc import Sequence
from functools import partial

import torch
from mmseg.registry import MODELS
from timm.layers import QuickGELU, resample_abs_pos_embed
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from rein.checkpoint.families import CLIP
from rein.models.backbones.vfm import VisionFoundationModel


class _PublishedCLIP(VisionTransformer):
    """timm's network with the published embedding: bilinear positions, class embedding twice."""

    def _pos_embed(self, x: Tensor) -> Tensor:
        """Add class token and positions to patches (B, h, w, C); return tokens (B, 1 + h w, C)."""
        positions = resample_abs_pos_embed(
            self.pos_embed, x.shape[1:3], self.patch_embed.grid_size, interpolation="bilinear",
            antialias=False)
        # the published network adds the class embedding as the token and again with its position
        class_token = 2 * self.cls_token
        tokens = torch.cat((class_token.expand(len(x), -1, -1), x.flatten(1, 2)), dim=1)
        return tokens + positions


@MODELS.register_module()
class CLIPVisionTransformer(VisionFoundationModel):
    """CLIP's image encoder, whose maps have one size; `MultiLevelNeck` makes them a pyramid.

    Published configs freeze it by `FrozenBackboneEncoderDecoder`. A `reins_config` refines it, too.

    Args:
        input_resolution (int): Image side of the position grid, pixels. Other image sizes resample
            the grid bilinearly.
        patch_size (int): Patch side, pixels.
        width (int): Channels C.
        layers (int): Blocks N.
        heads (int): Attention heads.
        output_dim (int): Unused; width of the joint embedding.
        drop_path_rate (float): Stochastic depth of the last block while the network trains.
        out_indices (Sequence[int]): Blocks whose outputs become the maps.
        get_embeddings (bool): Must be False: no joint embedding.
        style (str): Unused.
        pretrained (str, optional): File with the weights; `init_cfg` of published configs.
        **kwargs: As for `VisionFoundationModel`.

    Shape:
        All maps (B, C, h, w), one for each patch of the padded image.
    """

    FAMILY = CLIP

    def __init__(
        self,
        input_resolution: int = 224,
        patch_size: int = 32,
        width: int = 768,
        layers: int = 12,
        heads: int = 12,
        output_dim: int = 512,
        drop_path_rate: float = 0.0,
        out_indices: Sequence[int] = (3, 5, 7, 11),
        get_embeddings: bool = False,
        style: str = "pytorch",
        pretrained: str | None = None,
        **kwargs,
    ) -> None:
        if get_embeddings:
            raise ValueError("get_embeddings=True: the joint embedding is not supported.")
        network = _PublishedCLIP(
            img_size=input_resolution, patch_size=patch_size, embed_dim=width, depth=layers,
            num_heads=heads, drop_path_rate=drop_path_rate, pre_norm=True, final_norm=False,
            act_layer=QuickGELU, norm_layer=partial(nn.LayerNorm, eps=1e-5), num_classes=0,
            global_pool="", dynamic_img_size=True)
        if pretrained is not None:
            kwargs["init_cfg"] = dict(type="Pretrained", checkpoint=pretrained)
        kwargs.setdefault("frozen", "reins_config" in kwargs)
        super().__init__(network, out_indices=out_indices, **kwargs)

    def _sizes(self, height: int, width: int) -> list[tuple[int, int]]:
        """Return the size of the patch grid for each map."""
        grid = (height // self.multiple[0], width // self.multiple[1])
        return [grid] * len(self.out_indices)
