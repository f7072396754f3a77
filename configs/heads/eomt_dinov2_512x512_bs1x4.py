"""Encoder-only mask head (EoMT) on frozen DINOv2-L; GTA V -> three targets at 512x512.

The last four blocks decode 100 queries (arXiv:2503.19108). The network stays frozen, unlike in the
paper: eomt_full trains it.

    python tools/train.py configs/heads/eomt_dinov2_512x512_bs1x4.py
"""

_base_ = "../_base_/adapted_dinov2_512x512.py"
model = dict(
    backbone=dict(
        reins_config=dict(type="EncoderOnlyQueries", num_queries=100, num_blocks=4),
    ),
    decode_head=dict(
        _delete_=True,
        type="EncoderOnlyHead",
        in_channels=1024,
        num_classes=19,
        align_corners=False,
        loss_cls=_base_.model.decode_head.loss_cls,
        loss_mask=_base_.model.decode_head.loss_mask,
        loss_dice=_base_.model.decode_head.loss_dice,
        train_cfg=_base_.model.decode_head.train_cfg,
    ),
)
