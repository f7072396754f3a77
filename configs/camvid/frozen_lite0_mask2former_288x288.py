"""A frozen EfficientNet-Lite0 without an adapter: the baseline; CamVid by day -> other day, dusk.

Real photographs and ImageNet weights, on two CPU cores: see docs/real_photographs.md.

    python tools/train.py configs/camvid/frozen_lite0_mask2former_288x288.py
"""

_base_ = [
    "../_base_/default_runtime.py",
    "../_base_/models/lite0_mask2former.py",
    "../_base_/datasets/dg_camvid_288x288.py",
    "../_base_/schedules/schedule_camvid.py",
]
num_classes = 11
model = dict(
    decode_head=dict(
        num_classes=num_classes,
        loss_cls=dict(class_weight=[1.0] * num_classes + [0.1]),
    ),
)
