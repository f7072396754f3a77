"""Rein on the frozen toy foundation model, with a linear classifier on its last block; toy streets.

    python tools/train.py configs/toy/rein_linear_toy_vit_256x256.py
"""

_base_ = "./linear_toy_vit_256x256.py"
model = dict(
    type="EncoderDecoder",
    backbone=dict(
        type="ReinsDinoVisionTransformer",
        reins_config=dict(
            type="LoRAReins", token_length=40, lora_dim=16, link_token_to_query=False),
    ),
)
