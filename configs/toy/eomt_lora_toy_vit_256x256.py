"""Encoder-only mask head (EoMT) on the toy foundation model with LoRA; toy streets.

LoRA lets the blocks adapt to the queries among their tokens.

    python tools/train.py configs/toy/eomt_lora_toy_vit_256x256.py
"""

_base_ = "./eomt_toy_vit_256x256.py"
model = dict(backbone=dict(reins_config=dict(
    _delete_=True,
    type="Combined",
    adapters=[
        dict(type="LoRA", rank=8, targets=("q", "v")),
        dict(type="EncoderOnlyQueries", num_queries=40, num_blocks=3),  # last: see its docstring
    ],
)))
