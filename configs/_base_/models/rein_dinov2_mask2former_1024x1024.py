"""Rein on DINOv2-L at 1024x1024: larger position grid and sliding window."""

_base_ = "./rein_dinov2_mask2former.py"
crop_size = (1024, 1024)
model = dict(
    data_preprocessor=dict(size=crop_size),
    backbone=dict(
        img_size=1024,
        init_cfg=dict(checkpoint="checkpoints/dinov2_converted_1024x1024.pth"),
    ),
    test_cfg=dict(crop_size=crop_size, stride=(683, 683)),  # stride: 2/3 of the crop
)
