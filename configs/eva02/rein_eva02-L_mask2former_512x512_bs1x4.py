r"""Rein, EVA02-L, GTA V -> Cityscapes, BDD100K, Mapillary at 512x512.

A row of the paper's table of backbones (arXiv:2312.04265, table 1).

    python tools/convert_models/convert_backbone.py checkpoints/eva02_L_pt_m38m_p14to16.pt \
        --model configs/eva02/rein_eva02-L_mask2former_512x512_bs1x4.py
    python tools/train.py configs/eva02/rein_eva02-L_mask2former_512x512_bs1x4.py
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
        type="ReinsEVA2",  # its defaults are L's
        img_size=512,
        patch_size=16,
        init_cfg=dict(type="Pretrained", checkpoint="checkpoints/eva02_L_converted.pth"),
    ),
    decode_head=dict(in_channels=[1024] * 4),
)
