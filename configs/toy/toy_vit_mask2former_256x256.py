"""Full fine-tuning of the toy foundation model, the backbone at a tenth of the rate; toy streets.

    python tools/train.py configs/toy/toy_vit_mask2former_256x256.py
"""

_base_ = [
    "../_base_/default_runtime.py",
    "../_base_/models/toy_vit_mask2former.py",
    "../_base_/datasets/dg_toy_256x256.py",
    "../_base_/schedules/schedule_toy.py",
]
optim_wrapper = dict(
    paramwise_cfg=dict(
        custom_keys={
            # a parameter takes the longest key in its name: norms need one longer than `backbone`
            "backbone": dict(lr_mult=0.1),
            **{
                f"backbone.model.blocks.{i}.norm{j}": dict(lr_mult=0.1, decay_mult=0.0)
                for i in range(8) for j in (1, 2)
            },
            "backbone.model.norm": dict(lr_mult=0.1, decay_mult=0.0),
        },
    ),
)
