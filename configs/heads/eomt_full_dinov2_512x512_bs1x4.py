"""EoMT as published: encoder-only mask head, all of DINOv2-L trained; GTA V -> targets at 512x512.

Learning rates fall by 0.8 from block to block towards the input, as in EoMT's recipe
(arXiv:2503.19108), whose lr, weight decay and power are those of this project's schedule. EoMT adds
a warm-up of 500 and 1,000 iterations and trains longer, on other data.

    python tools/train.py configs/heads/eomt_full_dinov2_512x512_bs1x4.py
"""

_base_ = "./eomt_dinov2_512x512_bs1x4.py"
model = dict(backbone=dict(type="DinoVisionTransformer"))  # trained, unlike the frozen type
optim_wrapper = dict(paramwise_cfg=dict(layer_decay=0.8))
