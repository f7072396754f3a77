"""A linear classifier on four blocks of frozen DINOv2-L; GTA V -> three targets at 512x512.

A 1x1 convolution on features without final or batch norm. DINOv2's own protocol
(arXiv:2304.07193) normalises them first.

    python tools/train.py configs/heads/linear4_dinov2_512x512_bs1x4.py
"""

_base_ = "../frozen_vfms/dinov2-L_mask2former.py"
model = dict(
    decode_head=dict(
        _delete_=True,
        type="FCNHead",
        input_transform="resize_concat",
        in_channels=[1024, 1024, 1024, 1024],
        in_index=[0, 1, 2, 3],
        channels=4 * 1024,
        num_convs=0,
        concat_input=False,
        dropout_ratio=0,
        num_classes=19,
        align_corners=False,
        loss_decode=dict(type="CrossEntropyLoss"),
    ),
)
