"""A linear classifier on four blocks of the frozen toy foundation model; toy streets.

    python tools/train.py configs/toy/linear4_toy_vit_256x256.py
"""

_base_ = "./frozen_toy_vit_mask2former_256x256.py"
model = dict(
    decode_head=dict(
        _delete_=True,
        type="FCNHead",
        input_transform="resize_concat",
        in_channels=[192, 192, 192, 192],
        in_index=[0, 1, 2, 3],
        channels=4 * 192,
        num_convs=0,
        concat_input=False,
        dropout_ratio=0,
        num_classes=19,
        align_corners=False,
        loss_decode=dict(type="CrossEntropyLoss"),
    ),
)
