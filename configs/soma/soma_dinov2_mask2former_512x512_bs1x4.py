"""SoMA in its published recipe, DINOv2-L, GTA V -> Cityscapes, BDD100K, Mapillary at 512x512.

Batch 4, 40k iterations: the backbone at half the learning rate, weight decay annealed to 1e-5,
weights averaged from iteration 12,000. Published figures are for tools/test.py --protocol full.

    python tools/train.py configs/soma/soma_dinov2_mask2former_512x512_bs1x4.py
"""

_base_ = "../peft/soma_dinov2_mask2former_512x512_bs1x4.py"
model = dict(
    type="PEFTBackboneEncoderDecoder",
    backbone=dict(
        _delete_=True,
        type="DinoVisionTransformer",
        patch_size=16,
        embed_dim=1024,
        depth=24,
        num_heads=16,
        img_size=512,
        init_cfg=dict(type="Pretrained", checkpoint="checkpoints/dinov2_converted.pth"),
        lora_cfg=dict(
            r=16,
            lora_alpha=16,
            lora_weight_init="sora",
            first_eigen=False,
            target_modules=["q", "k", "v", "proj", "fc1", "fc2"],
            start_lora_idx=8,
        ),
    ),
)
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={
    "backbone": dict(lr_mult=0.5),
    "query_feat": dict(lr_mult=1.0, decay_mult=0.0),
}))
param_scheduler = [
    dict(type="PolyLR", eta_min=0, power=0.9, begin=0, end=40000, by_epoch=False),
    dict(
        type="CosineAnnealingParamScheduler", param_name="weight_decay", eta_min=1e-5, begin=0,
        end=40000, by_epoch=False),
]
custom_hooks = [dict(type="EMAHook", momentum=0.0002, begin_iter=12000)]
train_cfg = dict(val_interval=4000)
default_hooks = dict(checkpoint=dict(interval=4000, max_keep_ckpts=6))
