"""EVA-02 under its published type names and keyword arguments, built from timm's network.

Source: EVA-02 (Fang et al., arXiv:2303.11331).
"""

from collections.abc import Mapping, Sequence
from functools import partial

from mmseg.registry import MODELS
from timm.models.eva import Eva
from torch import nn

from rein.checkpoint.families import EVA02
from rein.models.backbones.vfm import VisionFoundationModel


@MODELS.register_module()
class EVA2(VisionFoundationModel):
    """EVA-02 for full fine-tuning, or frozen by its segmentor.

    Args:
        img_size (int | Sequence[int]): Image height and width of the position grid, pixels. Other
            image sizes resample the grid.
        patch_size (int): Patch side, pixels.
        in_chans (int): Channels of the images.
        embed_dim (int): Channels C.
        depth (int): Blocks N.
        num_heads (int): Attention heads.
        mlp_ratio (float): Width of the gated hidden layer divided by C.
        qkv_bias (bool): Biases of queries and values; keys have none.
        drop_path_rate (float): Stochastic depth of the last block while the network trains.
        init_values (float, optional): Initial layer scale; None: no layer scale.
        use_checkpoint (bool): As `with_cp`.
        use_abs_pos_emb (bool): Absolute positions, beside the rotary ones.
        use_rel_pos_bias (bool): Must be False.
        use_shared_rel_pos_bias (bool): Must be False.
        rope (bool): Rotary positions of queries and keys.
        pt_hw_seq_len (int): Side of the grid in pretraining, whose range the rotary positions keep.
        intp_freq (bool): Must be True: larger grids divide that range more finely.
        subln (bool): Separate projections of queries, keys and values, and a norm in the
            feed-forward layer, as in L and B.
        xattn (bool): Unused; attention is computed by torch.
        naiveswiglu (bool): Must be True: gated feed-forward layers.
        pretrained (str, optional): File with the weights; `init_cfg` of published configs.
        norm_layer (Mapping, optional): LayerNorm's `eps`.
        **kwargs: As for `VisionFoundationModel`.
    """

    FAMILY = EVA02
    FROZEN = False

    def __init__(
        self,
        img_size: int | Sequence[int] = 512,
        patch_size: int = 16,
        in_chans: int = 3,
        embed_dim: int = 1024,
        depth: int = 24,
        num_heads: int = 16,
        mlp_ratio: float = 8 / 3,
        qkv_bias: bool = True,
        drop_path_rate: float = 0.0,
        init_values: float | None = None,
        use_checkpoint: bool = False,
        use_abs_pos_emb: bool = True,
        use_rel_pos_bias: bool = False,
        use_shared_rel_pos_bias: bool = False,
        rope: bool = True,
        pt_hw_seq_len: int = 16,
        intp_freq: bool = True,
        subln: bool = True,
        xattn: bool = True,
        naiveswiglu: bool = True,
        pretrained: str | None = None,
        norm_layer: Mapping | None = None,
        **kwargs,
    ) -> None:
        if use_rel_pos_bias or use_shared_rel_pos_bias or not (intp_freq and naiveswiglu):
            raise ValueError(
                f"use_rel_pos_bias={use_rel_pos_bias}, "
                f"use_shared_rel_pos_bias={use_shared_rel_pos_bias}, intp_freq={intp_freq}, "
                f"naiveswiglu={naiveswiglu}: released weights have False, False, True, True.")
        network = Eva(
            img_size=img_size, patch_size=patch_size, in_chans=in_chans, embed_dim=embed_dim,
            depth=depth, num_heads=num_heads, mlp_ratio=mlp_ratio, qkv_bias=qkv_bias,
            qkv_fused=not subln, swiglu_mlp=True, scale_mlp=subln, scale_attn_inner=False,
            drop_path_rate=drop_path_rate, init_values=init_values or None,
            use_abs_pos_emb=use_abs_pos_emb, use_rot_pos_emb=rope,
            ref_feat_shape=(pt_hw_seq_len, pt_hw_seq_len), num_classes=0, global_pool="",
            use_post_transformer_norm=False, use_fc_norm=False, dynamic_img_size=True,
            norm_layer=partial(nn.LayerNorm, eps=(norm_layer or {}).get("eps", 1e-6)))
        if pretrained is not None:
            kwargs["init_cfg"] = dict(type="Pretrained", checkpoint=pretrained)
        kwargs["with_cp"] = use_checkpoint or kwargs.get("with_cp", False)
        super().__init__(network, frozen=self.FROZEN, **kwargs)


@MODELS.register_module()
class ReinsEVA2(EVA2):
    """A frozen EVA-02 network with a Rein adapter after every block (arXiv:2312.04265).

    Args:
        reins_config (dict): The adapter, `Reins` or `LoRAReins`.
        **kwargs: As for `EVA2`.
    """

    FROZEN = True

    def __init__(self, reins_config: dict, **kwargs) -> None:
        super().__init__(reins_config=reins_config, **kwargs)
