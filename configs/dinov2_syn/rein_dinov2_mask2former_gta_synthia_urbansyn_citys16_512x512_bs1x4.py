r"""Rein, DINOv2-L at 512x512.

GTA V + SYNTHIA + UrbanSyn + 1/16 Cityscapes -> Cityscapes, BDD100K, Mapillary.

    python tools/train.py \
        configs/dinov2_syn/rein_dinov2_mask2former_gta_synthia_urbansyn_citys16_512x512_bs1x4.py
"""

_base_ = [
    "../_base_/default_runtime.py",
    "../_base_/models/rein_dinov2_mask2former.py",
    "../_base_/datasets/dg_gta_synthia_urbansyn_citys16_512x512.py",
    "../_base_/schedules/schedule_40k.py",
]
