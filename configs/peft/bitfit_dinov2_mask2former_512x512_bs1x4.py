"""BitFit, the biases of all blocks, DINOv2-L, GTA V -> Cityscapes, BDD100K, Mapillary at 512x512.

Trains 270,336 parameters of the backbone; not in Rein's table.

    python tools/train.py configs/peft/bitfit_dinov2_mask2former_512x512_bs1x4.py
"""

_base_ = "../_base_/adapted_dinov2_512x512.py"
model = dict(backbone=dict(reins_config=dict(type="BitFit")))
# no weight decay on biases, as on norms
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={"backbone.reins": dict(decay_mult=0.0)}))
