r"""Rein, ResNet-101, GTA V -> Cityscapes, BDD100K, Mapillary at 512x512.

Four strides of its own, an adapter for each stage.

    python tools/convert_models/convert_backbone.py timm:resnet101c.gluon_in1k \
        --model configs/resnet/rein_resnet101_mask2former_512x512_bs1x4.py
    python tools/train.py configs/resnet/rein_resnet101_mask2former_512x512_bs1x4.py
"""

_base_ = [
    "../_base_/default_runtime.py",
    "../_base_/models/rein_mask2former.py",
    "../_base_/datasets/dg_gta_512x512.py",
    "../_base_/schedules/schedule_40k.py",
]
model = dict(
    data_preprocessor=dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375]),
    backbone=dict(
        type="ReinsResNetV1c",
        depth=101,
        init_cfg=dict(type="Pretrained", checkpoint="checkpoints/resnet101_converted.pth"),
    ),
    decode_head=dict(in_channels=[256, 512, 1024, 2048]),
)
