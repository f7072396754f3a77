"""Encoder-only mask head (EoMT) on the frozen toy foundation model; toy streets.

    python tools/train.py configs/toy/eomt_toy_vit_256x256.py
"""

_base_ = "../_base_/adapted_toy_vit_256x256.py"
model = dict(
    backbone=dict(
        reins_config=dict(type="EncoderOnlyQueries", num_queries=40, num_blocks=3),
    ),
    decode_head=dict(
        _delete_=True,
        type="EncoderOnlyHead",
        in_channels=192,
        num_classes=19,
        align_corners=False,
        loss_cls=_base_.model.decode_head.loss_cls,
        loss_mask=_base_.model.decode_head.loss_mask,
        loss_dice=_base_.model.decode_head.loss_dice,
        train_cfg=_base_.model.decode_head.train_cfg,
    ),
)
