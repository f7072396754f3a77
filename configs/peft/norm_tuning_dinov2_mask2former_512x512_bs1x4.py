"""NormTuning, the layer norms of all blocks, DINOv2-L, GTA V -> three targets at 512x512.

Trains 98,304 parameters of the backbone; not in Rein's table.

    python tools/train.py configs/peft/norm_tuning_dinov2_mask2former_512x512_bs1x4.py
"""

_base_ = "../_base_/adapted_dinov2_512x512.py"
model = dict(backbone=dict(reins_config=dict(type="NormTuning")))
