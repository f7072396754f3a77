"""AdaptFormer on the frozen toy foundation model; toy streets.

    python tools/train.py configs/toy/adaptformer_toy_vit_mask2former_256x256.py
"""

_base_ = "../_base_/adapted_toy_vit_256x256.py"
model = dict(backbone=dict(reins_config=dict(type="AdaptFormer", hidden_dims=32)))
