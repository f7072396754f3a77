"""DoRA of rank 8 on queries and values, DINOv2-L, GTA V -> three targets at 512x512.

Trains 835,584 parameters of the backbone; not in Rein's table.

    python tools/train.py configs/peft/dora_dinov2_mask2former_512x512_bs1x4.py
"""

_base_ = "./lora_dinov2_mask2former_512x512_bs1x4.py"
model = dict(backbone=dict(reins_config=dict(type="DoRA")))
# no weight decay on magnitudes: it would pull them to 0, not to the pretrained ones
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={"magnitude": dict(decay_mult=0.0)}))
