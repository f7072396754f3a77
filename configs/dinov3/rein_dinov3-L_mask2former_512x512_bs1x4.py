r"""Rein, DINOv3 ViT-L, GTA V -> Cityscapes, BDD100K, Mapillary at 512x512.

Rotary positions: any image size without resampling.

    python tools/convert_models/convert_backbone.py timm:vit_large_patch16_dinov3.lvd1689m \
        --model configs/dinov3/rein_dinov3-L_mask2former_512x512_bs1x4.py
    python tools/train.py configs/dinov3/rein_dinov3-L_mask2former_512x512_bs1x4.py
"""

_base_ = [
    "../_base_/default_runtime.py",
    "../_base_/models/rein_mask2former.py",
    "../_base_/datasets/dg_gta_512x512.py",
    "../_base_/schedules/schedule_40k.py",
]
model = dict(
    backbone=dict(
        model="vit_large_patch16_dinov3",
        img_size=512,
        init_cfg=dict(type="Pretrained", checkpoint="checkpoints/dinov3-L_converted.pth"),
    ),
    decode_head=dict(in_channels=[1024] * 4),
)
