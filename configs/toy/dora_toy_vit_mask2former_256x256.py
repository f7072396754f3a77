"""DoRA on the frozen toy foundation model; toy streets.

    python tools/train.py configs/toy/dora_toy_vit_mask2former_256x256.py
"""

_base_ = "./lora_toy_vit_mask2former_256x256.py"
model = dict(backbone=dict(reins_config=dict(type="DoRA")))
# no weight decay on magnitudes: it would pull them to 0, not to the pretrained ones
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={"magnitude": dict(decay_mult=0.0)}))
