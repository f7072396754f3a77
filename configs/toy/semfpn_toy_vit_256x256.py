"""Semantic FPN on the frozen toy foundation model; toy streets.

    python tools/train.py configs/toy/semfpn_toy_vit_256x256.py
"""

_base_ = "./frozen_toy_vit_mask2former_256x256.py"
model = dict(
    neck=dict(type="FPN", in_channels=[192, 192, 192, 192], out_channels=128, num_outs=4),
    decode_head=dict(
        _delete_=True,
        type="FPNHead",
        in_channels=[128, 128, 128, 128],
        in_index=[0, 1, 2, 3],
        feature_strides=[4, 8, 16, 32],
        channels=64,
        dropout_ratio=0.1,
        num_classes=19,
        norm_cfg=dict(type="GN", num_groups=32),
        align_corners=False,
        loss_decode=dict(type="CrossEntropyLoss"),
    ),
)
