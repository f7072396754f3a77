"""Rein after every block of a frozen EfficientNet-Lite0; CamVid by day -> other day, dusk.

The head learns its queries, as in the toy: queries linked to the tokens start alike, and 600
iterations hardly part them.

    python tools/train.py configs/camvid/rein_lite0_mask2former_288x288.py
"""

_base_ = "./frozen_lite0_mask2former_288x288.py"
model = dict(
    backbone=dict(
        reins_config=dict(
            type="LoRAReins", token_length=40, lora_dim=16, link_token_to_query=False),
    ),
)
