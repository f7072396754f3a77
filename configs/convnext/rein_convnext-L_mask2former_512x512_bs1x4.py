r"""Rein, ConvNeXt-L, GTA V -> Cityscapes, BDD100K, Mapillary at 512x512.

Four strides of its own, an adapter for each stage.

    python tools/convert_models/convert_backbone.py timm:convnext_large.fb_in22k \
        --model configs/convnext/rein_convnext-L_mask2former_512x512_bs1x4.py
    python tools/train.py configs/convnext/rein_convnext-L_mask2former_512x512_bs1x4.py
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
        type="ReinsConvNeXt",
        arch="large",
        gap_before_final_norm=False,
        init_cfg=dict(type="Pretrained", checkpoint="checkpoints/convnext-L_converted.pth"),
    ),
    decode_head=dict(in_channels=[192, 384, 768, 1536]),
)
