"""Full fine-tuning, up to 48 blocks: the backbone at a tenth of the learning rate."""

_base_ = "./schedule_40k.py"
_norms = ("norm1", "norm2", "attn.norm", "mlp.norm")
optim_wrapper = dict(
    paramwise_cfg=dict(
        custom_keys={
            # the longest key in a parameter's name applies: norms need one longer than `backbone`
            "backbone": dict(lr_mult=0.1),
            **{
                f"backbone.model.blocks.{i}.{norm}": dict(lr_mult=0.1, decay_mult=0.0)
                for i in range(48) for norm in _norms
            },
            "backbone.model.norm_pre": dict(lr_mult=0.1, decay_mult=0.0),
        },
    ),
)
