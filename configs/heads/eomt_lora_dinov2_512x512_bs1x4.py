"""Encoder-only mask head (EoMT) on DINOv2-L with LoRA; GTA V -> three targets at 512x512.

LoRA of rank 8 on queries and values lets the blocks adapt to the queries among their tokens. The
paper trains the whole network instead: eomt_full.

    python tools/train.py configs/heads/eomt_lora_dinov2_512x512_bs1x4.py
"""

_base_ = "./eomt_dinov2_512x512_bs1x4.py"
model = dict(backbone=dict(reins_config=dict(
    _delete_=True,
    type="Combined",
    adapters=[
        dict(type="LoRA", rank=8, targets=("q", "v")),
        dict(type="EncoderOnlyQueries", num_queries=100, num_blocks=4),  # last: see its docstring
    ],
)))
