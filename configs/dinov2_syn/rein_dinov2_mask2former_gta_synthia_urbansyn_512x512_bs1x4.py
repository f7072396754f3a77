r"""Rein, DINOv2-L, GTA V + SYNTHIA + UrbanSyn -> Cityscapes, BDD100K, Mapillary at 512x512.

    python tools/train.py \
        configs/dinov2_syn/rein_dinov2_mask2former_gta_synthia_urbansyn_512x512_bs1x4.py
"""

_base_ = [
    "../_base_/default_runtime.py",
    "../_base_/models/rein_dinov2_mask2former.py",
    "../_base_/datasets/dg_gta_synthia_urbansyn_512x512.py",
    "../_base_/schedules/schedule_40k.py",
]
