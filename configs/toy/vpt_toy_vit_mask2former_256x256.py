"""Deep VPT on the frozen toy foundation model; toy streets.

    python tools/train.py configs/toy/vpt_toy_vit_mask2former_256x256.py
"""

_base_ = "../_base_/adapted_toy_vit_256x256.py"
model = dict(backbone=dict(reins_config=dict(type="VPT", num_tokens=40, deep=True)))
# no weight decay on prompts, as on Rein's tokens
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={"prompts": dict(decay_mult=0.0)}))
