"""The tiny model with the encoder-only mask head."""

import torch
from conftest import build, tiny_model_config

QUERIES = dict(type="EncoderOnlyQueries", num_queries=6, num_blocks=2)
LORA = dict(type="LoRA", rank=2)
VPT = dict(type="VPT", num_tokens=3)
REIN = dict(
    type="LoRAReins", token_length=6, embed_dims=32, num_layers=4, patch_size=16, lora_dim=2,
    link_token_to_query=False)
ADAPTERS = {
    "alone": QUERIES,
    "vpt": dict(type="Combined", adapters=[LORA, VPT, QUERIES]),
    "rein": dict(type="Combined", adapters=[REIN, VPT, QUERIES]),
}


def encoder_only_config(adapter=QUERIES, depth=4, precision="fp32", **backbone) -> dict:
    """Configure the head on a tiny ViT, for four classes."""
    cfg = tiny_model_config()
    old = cfg.decode_head
    cfg.precision = precision
    cfg.backbone.update(depth=depth, out_indices=[0, 1, 1, depth - 1], **backbone)
    cfg.backbone.pop("reins_config")
    cfg.backbone["reins_config"] = adapter
    old.loss_cls.class_weight = [1.0] * 4 + [0.1]
    cfg.decode_head = dict(
        type="EncoderOnlyHead", in_channels=32, num_classes=4, loss_cls=old.loss_cls,
        loss_mask=old.loss_mask, loss_dice=old.loss_dice, train_cfg=old.train_cfg)
    return cfg


def encoder_only_model(*args, **kwargs):
    """Build that model with seeded weights."""
    torch.manual_seed(0)
    return build(encoder_only_config(*args, **kwargs))
