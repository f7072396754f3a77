"""Full fine-tuning, SAM ViT-H, GTA V -> Cityscapes, BDD100K, Mapillary at 512x512.

    python tools/train.py configs/sam/sam-H_mask2former_512x512_bs1x4.py
"""

_base_ = [
    "../_base_/default_runtime.py",
    "../_base_/models/frozen_mask2former.py",
    "../_base_/datasets/dg_gta_512x512.py",
    "../_base_/schedules/full_40k.py",
]
model = dict(
    backbone=dict(
        model="samvit_huge_patch16",
        img_size=512,
        frozen=False,
        init_cfg=dict(type="Pretrained", checkpoint="checkpoints/sam-H_converted.pth"),
    ),
    decode_head=dict(in_channels=[1280] * 4),
)
