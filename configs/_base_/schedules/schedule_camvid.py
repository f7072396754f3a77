"""The toy's schedule, AdamW 1e-3 and 600 iterations, validated once, at its end."""

_base_ = "./schedule_toy.py"
train_cfg = dict(val_begin=_base_.max_iters, val_interval=_base_.max_iters)
