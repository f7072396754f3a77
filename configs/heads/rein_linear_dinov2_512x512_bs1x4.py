"""Rein on DINOv2-L with a linear classifier on its last block; GTA V -> targets at 512x512.

    python tools/train.py configs/heads/rein_linear_dinov2_512x512_bs1x4.py
"""

_base_ = "./linear_dinov2_512x512_bs1x4.py"
model = dict(
    type="EncoderDecoder",
    backbone=dict(
        type="ReinsDinoVisionTransformer",
        reins_config=dict(
            type="LoRAReins", token_length=100, lora_dim=16, link_token_to_query=False),
    ),
)
