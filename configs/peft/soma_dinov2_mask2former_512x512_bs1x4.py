"""SoMA's adapter in Rein's recipe, DINOv2-L, GTA V -> Cityscapes, BDD100K, Mapillary at 512x512.

Rank 16 in blocks 8 to 23: trains 4,866,048 parameters of the backbone. SoMA's own recipe is in
configs/soma.

    python tools/train.py configs/peft/soma_dinov2_mask2former_512x512_bs1x4.py
"""

_base_ = "../_base_/adapted_dinov2_512x512.py"
model = dict(backbone=dict(reins_config=dict(type="SoMA", rank=16, blocks=(8, 24))))
