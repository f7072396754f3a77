"""The frozen toy foundation model without an adapter: the baseline; toy streets.

    python tools/train.py configs/toy/frozen_toy_vit_mask2former_256x256.py
"""

_base_ = [
    "../_base_/default_runtime.py",
    "../_base_/models/toy_vit_mask2former.py",
    "../_base_/datasets/dg_toy_256x256.py",
    "../_base_/schedules/schedule_toy.py",
]
model = dict(type="FrozenBackboneEncoderDecoder")
