"""Full fine-tuning of EfficientNet-Lite0, at a tenth of the rate; CamVid by day -> other day, dusk.

    python tools/train.py configs/camvid/lite0_mask2former_288x288.py
"""

_base_ = "./frozen_lite0_mask2former_288x288.py"
depths = (1, 2, 2, 3, 3, 4, 1)  # blocks of each of the network's groups
model = dict(backbone=dict(frozen=False))
_norm = dict(lr_mult=0.1, decay_mult=0.0)
optim_wrapper = dict(
    paramwise_cfg=dict(
        custom_keys={
            # a parameter takes the longest key in its name: norms need one longer than `backbone`
            "backbone": dict(lr_mult=0.1),
            "backbone.model.bn1": _norm,
            **{
                f"backbone.model.blocks.{i}.{j}.bn{k}": _norm
                for i, depth in enumerate(depths) for j in range(depth) for k in (1, 2, 3)
            },
        },
    ),
)
