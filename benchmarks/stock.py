"""The reference: the published model, built from stock mmseg, mmdet and mmcv modules."""

import copy

import rein.compat  # noqa: F401  before mmseg

import torch
from mmengine.registry import DefaultScope
from mmseg.models import EncoderDecoder
from mmseg.models.decode_heads import Mask2FormerHead
from mmseg.registry import MODELS
from torch import nn

from rein.models.adapters import LoRAReins
from rein.models.decode_heads import ReinMask2FormerHead
from rein.models.pyramid import Pyramid

CONFIG = "configs/dinov2/rein_dinov2_mask2former_512x512_bs1x4.py"
"""The main config, which the benchmarks measure."""


@MODELS.register_module()
class StockHead(ReinMask2FormerHead):
    """mmdet's own decoder loop, matching and losses, with the linked queries.

    Args:
        **kwargs: As for `ReinMask2FormerHead`; the weights are interchangeable.
    """

    def __init__(self, **kwargs) -> None:
        super().__init__(**kwargs)
        for module in self.modules():
            if isinstance(module, nn.ReLU):
                module.inplace = True

    def forward(self, x, batch_data_samples=None):
        """Decode layer by layer, with full masks after each, as mmdet's head does."""
        maps = Pyramid.of(x)
        query_feat, query_embed = self._initial_queries(maps)
        mask_features, memories = self.pixel_decoder(maps)
        keys, positions = [], []
        for level, memory in enumerate(memories):
            key = self.decoder_input_projs[level](memory).flatten(2).transpose(1, 2)
            keys.append(key + self.level_embed.weight[level])
            mask = memory.new_zeros((len(memory), *memory.shape[-2:]), dtype=torch.bool)
            position = self.decoder_positional_encoding(mask)
            positions.append(position.flatten(2).transpose(1, 2))
        sizes = [memory.shape[-2:] for memory in memories]
        cls_pred, mask_pred, attn_mask = self._forward_head(query_feat, mask_features, sizes[0])
        cls_preds, mask_preds = [cls_pred], [mask_pred]
        for i, layer in enumerate(self.transformer_decoder.layers):
            level = i % len(memories)
            attn_mask = attn_mask & (attn_mask.sum(-1) != attn_mask.shape[-1])[..., None]
            query_feat = layer(
                query=query_feat, key=keys[level], value=keys[level], query_pos=query_embed,
                key_pos=positions[level], cross_attn_mask=attn_mask)
            cls_pred, mask_pred, attn_mask = self._forward_head(
                query_feat, mask_features, sizes[(i + 1) % len(memories)])
            cls_preds.append(cls_pred)
            mask_preds.append(mask_pred)
        return cls_preds, mask_preds

    loss = Mask2FormerHead.loss
    predict = Mask2FormerHead.predict


@MODELS.register_module()
class StockReins(LoRAReins):
    """The adapter step by step, as the paper writes it.

    Args:
        **kwargs: As for `LoRAReins`; the weights are interchangeable.
    """

    def forward(self, feats, layer, num_prefix_tokens=1):
        """Refine the output of one block."""
        prefix, patches = feats[:, :num_prefix_tokens], feats[:, num_prefix_tokens:]
        tokens = self.tokens(layer)
        attention = (patches @ tokens.T * self.embed_dims**-0.5).softmax(-1)
        delta = attention[..., 1:] @ self.mlp_token2feat(tokens[1:])
        patches = patches + self.scale * self.mlp_delta_f(delta + patches)
        return torch.cat((prefix, patches), dim=1)


def build_model(cfg: dict) -> nn.Module:
    """Build a segmentor from a config."""
    with DefaultScope.overwrite_default_scope("mmseg"):
        return MODELS.build(cfg)


def stock_model(cfg: dict) -> EncoderDecoder:
    """Build the whole reference: mmseg's segmentor, unfused attention, `StockHead`.

    Args:
        cfg: Config of a segmentor, such as `load_config(PATH).model`; it stays unchanged.

    Returns:
        The model; its weights are interchangeable with those of this project's model.
    """
    cfg = copy.deepcopy(cfg)
    cfg.update(type=EncoderDecoder)
    cfg["decode_head"].update(type="StockHead")
    cfg["backbone"]["reins_config"].update(type="StockReins")
    model = build_model(cfg)
    for module in model.backbone.modules():
        if hasattr(module, "fused_attn"):
            module.fused_attn = False  # timm's path without scaled_dot_product_attention
    return model
