r"""Rein, CLIP ViT-L, GTA V -> Cityscapes, BDD100K, Mapillary at 512x512.

A row of the paper's table of backbones (arXiv:2312.04265, table 1).
In the published program, Rein does not refine CLIP. The published types, `CLIPVisionTransformer`
and a trained `MultiLevelNeck`, load, too; timm's name is used here so that CLIP has the pyramid and
the parameters of the table's other backbones.

    python tools/convert_models/convert_backbone.py checkpoints/ViT-L-14.pt \
        --model configs/clip/rein_clip-L_mask2former_512x512_bs1x4.py
    python tools/train.py configs/clip/rein_clip-L_mask2former_512x512_bs1x4.py
"""

_base_ = [
    "../_base_/default_runtime.py",
    "../_base_/models/rein_mask2former.py",
    "../_base_/datasets/dg_gta_512x512.py",
    "../_base_/schedules/schedule_40k.py",
]
model = dict(
    backbone=dict(
        model="vit_large_patch14_clip_quickgelu_224.openai",
        img_size=512,
        patch_size=16,
        init_cfg=dict(type="Pretrained", checkpoint="checkpoints/clip-L_converted.pth"),
    ),
    decode_head=dict(in_channels=[1024] * 4),
)
