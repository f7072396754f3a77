r"""Rein, SAM ViT-H, GTA V -> Cityscapes, BDD100K, Mapillary at 512x512.

A row of the paper's table of backbones (arXiv:2312.04265, table 1). All 32 blocks are refined.

    python tools/convert_models/convert_backbone.py checkpoints/sam_vit_h_4b8939.pth \
        --model configs/sam/rein_sam-H_mask2former_512x512_bs1x4.py
    python tools/train.py configs/sam/rein_sam-H_mask2former_512x512_bs1x4.py
"""

_base_ = [
    "../_base_/default_runtime.py",
    "../_base_/models/rein_mask2former.py",
    "../_base_/datasets/dg_gta_512x512.py",
    "../_base_/schedules/schedule_40k.py",
]
model = dict(
    backbone=dict(
        model="samvit_huge_patch16",
        img_size=512,
        init_cfg=dict(type="Pretrained", checkpoint="checkpoints/sam-H_converted.pth"),
    ),
    decode_head=dict(in_channels=[1280] * 4),
)
