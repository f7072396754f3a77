"""A linear classifier on the last block of frozen DINOv2-L; GTA V -> three targets at 512x512.

A 1x1 convolution on features without final or batch norm. DINOv2's own protocol
(arXiv:2304.07193) normalises them first.

    python tools/train.py configs/heads/linear_dinov2_512x512_bs1x4.py
"""

_base_ = "../frozen_vfms/dinov2-L_mask2former.py"
model = dict(
    backbone=dict(out_indices=[23, 23, 23, 23]),
    decode_head=dict(
        _delete_=True,
        type="FCNHead",
        in_channels=1024,
        in_index=2,  # stride 16, the network's own
        channels=1024,
        num_convs=0,
        concat_input=False,
        dropout_ratio=0,
        num_classes=19,
        align_corners=False,
        loss_decode=dict(type="CrossEntropyLoss"),
    ),
)
