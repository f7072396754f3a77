"""Own data with two classes: cracks in concrete, labelled with black-and-white masks.

data/cracks holds images/{train,val}/*.jpg and labels/{train,val}/*.png with the same names.
`label_values` gives each class's pixel value; without it, the value is the index in `classes`.

    python tools/train.py configs/own_data/rein_dinov2_mask2former_cracks_512x512.py
"""

_base_ = [
    "../_base_/default_runtime.py",
    "../_base_/models/rein_dinov2_mask2former.py",
    "../_base_/datasets/own_data.py",
    "../_base_/schedules/schedule_40k.py",
]
domain = "cracks"  # names the folder and the metrics: cracks_mIoU
classes = ["concrete", "crack"]
palette = [[160, 160, 160], [230, 25, 75]]  # RGB
label_values = [0, 255]

# everything below is derived from the lines above
_data = dict(
    domain=domain, data_root=f"data/{domain}/",
    metainfo=dict(classes=classes, palette=palette),
    label_values=label_values,
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
