"""Semantic FPN (arXiv:1901.02446) on frozen DINOv2-L; GTA V -> three targets at 512x512.

    python tools/train.py configs/heads/semfpn_dinov2_512x512_bs1x4.py
"""

_base_ = "../frozen_vfms/dinov2-L_mask2former.py"
model = dict(
    neck=dict(type="FPN", in_channels=[1024, 1024, 1024, 1024], out_channels=256, num_outs=4),
    decode_head=dict(
        _delete_=True,
        type="FPNHead",
        in_channels=[256, 256, 256, 256],
        in_index=[0, 1, 2, 3],
        feature_strides=[4, 8, 16, 32],
        channels=128,
        dropout_ratio=0.1,
        num_classes=19,
        norm_cfg=dict(type="GN", num_groups=32),
        align_corners=False,
        loss_decode=dict(type="CrossEntropyLoss"),
    ),
)
