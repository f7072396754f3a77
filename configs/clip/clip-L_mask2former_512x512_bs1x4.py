"""Full fine-tuning, CLIP ViT-L, GTA V -> Cityscapes, BDD100K, Mapillary at 512x512.

The pyramid is Rein's, without the trained `MultiLevelNeck` of published CLIP configs.

    python tools/train.py configs/clip/clip-L_mask2former_512x512_bs1x4.py
"""

_base_ = [
    "../_base_/default_runtime.py",
    "../_base_/models/frozen_mask2former.py",
    "../_base_/datasets/dg_gta_512x512.py",
    "../_base_/schedules/full_40k.py",
]
model = dict(
    backbone=dict(
        model="vit_large_patch14_clip_quickgelu_224.openai",
        img_size=512,
        patch_size=16,
        frozen=False,
        init_cfg=dict(type="Pretrained", checkpoint="checkpoints/clip-L_converted.pth"),
    ),
    decode_head=dict(in_channels=[1024] * 4),
)
