"""A linear classifier on the last block of the frozen toy foundation model; toy streets.

    python tools/train.py configs/toy/linear_toy_vit_256x256.py
"""

_base_ = "./frozen_toy_vit_mask2former_256x256.py"
model = dict(
    backbone=dict(out_indices=[7, 7, 7, 7]),
    decode_head=dict(
        _delete_=True,
        type="FCNHead",
        in_channels=192,
        in_index=2,  # stride 16, the network's own
        channels=192,
        num_convs=0,
        concat_input=False,
        dropout_ratio=0,
        num_classes=19,
        align_corners=False,
        loss_decode=dict(type="CrossEntropyLoss"),
    ),
)
