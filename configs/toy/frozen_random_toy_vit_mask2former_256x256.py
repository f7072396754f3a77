"""A frozen network of random weights: what the head learns without a foundation model.

toy/benchmark.py makes the weights.
"""

_base_ = "./frozen_toy_vit_mask2former_256x256.py"
model = dict(backbone=dict(init_cfg=dict(checkpoint="checkpoints/toy_vit_random_converted.pth")))
