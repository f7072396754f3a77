"""Own data with several classes: soil, crop and weed in fields seen from a robot.

data/field holds images/{train,val}/*.jpg and labels/{train,val}/*.png with the same names. A label
value is the index of its class in `classes`, or 255 for ignored pixels. For your own data, copy
this file and change the lines from `domain` to `palette`.

    python tools/train.py configs/own_data/rein_dinov2_mask2former_field_512x512.py
"""

_base_ = [
    "../_base_/default_runtime.py",
    "../_base_/models/rein_dinov2_mask2former.py",
    "../_base_/datasets/own_data.py",
    "../_base_/schedules/schedule_40k.py",
]
domain = "field"  # names the folder and the metrics: field_mIoU
classes = ["soil", "crop", "weed"]
palette = [[120, 84, 60], [60, 180, 75], [230, 25, 75]]  # RGB

# everything below is derived from the lines above
_data = dict(
    domain=domain, data_root=f"data/{domain}/",
    metainfo=dict(classes=classes, palette=palette),
)
train_dataloader = dict(dataset=_data)
val_dataloader = dict(dataset=_data)
test_dataloader = val_dataloader
num_classes = len(classes)
model = dict(
    decode_head=dict(
        num_classes=num_classes,
        loss_cls=dict(class_weight=[1.0] * num_classes + [0.1]),
    ),
)
