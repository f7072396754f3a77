"""Full fine-tuning, DINOv2-L, GTA V -> Cityscapes, BDD100K, Mapillary at 512x512.

The backbone trains at a tenth of the learning rate.

    python tools/train.py configs/dinov2/dinov2_mask2former_512x512_bs1x4.py
"""

_base_ = [
    "../_base_/default_runtime.py",
    "../_base_/models/dinov2_mask2former.py",
    "../_base_/datasets/dg_gta_512x512.py",
    "../_base_/schedules/schedule_40k.py",
]
optim_wrapper = dict(
    paramwise_cfg=dict(
        custom_keys={
            # the longest key in a parameter's name applies: norms need one longer than `backbone`
            "backbone": dict(lr_mult=0.1),
            **{
                f"backbone.model.blocks.{i}.norm{j}": dict(lr_mult=0.1, decay_mult=0.0)
                for i in range(24) for j in (1, 2)
            },
            "backbone.model.norm": dict(lr_mult=0.1, decay_mult=0.0),
        },
    ),
)
