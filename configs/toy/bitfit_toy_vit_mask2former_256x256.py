"""BitFit on the frozen toy foundation model; toy streets.

    python tools/train.py configs/toy/bitfit_toy_vit_mask2former_256x256.py
"""

_base_ = "../_base_/adapted_toy_vit_256x256.py"
model = dict(backbone=dict(reins_config=dict(type="BitFit")))
# no weight decay on biases, as on norms
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={"backbone.reins": dict(decay_mult=0.0)}))
