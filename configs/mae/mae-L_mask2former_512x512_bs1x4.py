"""Full fine-tuning, MAE ViT-L, GTA V -> Cityscapes, BDD100K, Mapillary at 512x512.

    python tools/train.py configs/mae/mae-L_mask2former_512x512_bs1x4.py
"""

_base_ = [
    "../_base_/default_runtime.py",
    "../_base_/models/frozen_mask2former.py",
    "../_base_/datasets/dg_gta_512x512.py",
    "../_base_/schedules/full_40k.py",
]
model = dict(
    backbone=dict(
        model="vit_large_patch16_224.mae",
        img_size=512,
        frozen=False,
        init_cfg=dict(type="Pretrained", checkpoint="checkpoints/mae-L_converted.pth"),
    ),
    decode_head=dict(in_channels=[1024] * 4),
)
