r"""Rein, Perception Encoder ViT-L (spatial), GTA V -> Cityscapes, BDD100K, Mapillary at 512x512.

The spatially tuned network at patch 16.

    python tools/convert_models/convert_backbone.py timm:vit_pe_spatial_large_patch14_448.fb \
        --model configs/pe/rein_pe-spatial-L_mask2former_512x512_bs1x4.py
    python tools/train.py configs/pe/rein_pe-spatial-L_mask2former_512x512_bs1x4.py
"""

_base_ = [
    "../_base_/default_runtime.py",
    "../_base_/models/rein_mask2former.py",
    "../_base_/datasets/dg_gta_512x512.py",
    "../_base_/schedules/schedule_40k.py",
]
model = dict(
    backbone=dict(
        model="vit_pe_spatial_large_patch14_448",
        img_size=512,
        patch_size=16,
        init_cfg=dict(type="Pretrained", checkpoint="checkpoints/pe-spatial-L_converted.pth"),
    ),
    decode_head=dict(in_channels=[1024] * 4),
)
