"""Rein on the toy street world: toy GTA -> toy Cityscapes, BDD100K, Mapillary and ACDC night.

A tiny ViT, pretrained without labels on toy streets, and a small Mask2Former head: trains in
minutes on two CPU cores. `make quickstart` runs it with all that comes before and after.

    python tools/train.py configs/toy/rein_toy_vit_mask2former_256x256.py
"""

_base_ = [
    "../_base_/default_runtime.py",
    "../_base_/models/rein_dinov2_mask2former.py",
    "../_base_/datasets/dg_toy_256x256.py",
    "../_base_/schedules/schedule_40k.py",
]
width, depth, num_queries, channels = 128, 8, 40, 64
crop_size = (256, 256)
_attention = dict(embed_dims=channels, num_heads=4)
_feed_forward = dict(embed_dims=channels, feedforward_channels=2 * channels)
_positions = dict(num_feats=channels // 2)
model = dict(
    data_preprocessor=dict(size=crop_size),
    backbone=dict(
        img_size=256,
        embed_dim=width,
        depth=depth,
        num_heads=4,
        out_indices=[1, 3, 5, 7],
        reins_config=dict(
            token_length=num_queries, embed_dims=width, num_layers=depth, query_dims=channels),
        init_cfg=dict(checkpoint="checkpoints/toy_vit_converted.pth"),
    ),
    decode_head=dict(
        in_channels=[width] * 4,
        feat_channels=channels,
        out_channels=channels,
        num_queries=num_queries,
        pixel_decoder=dict(
            norm_cfg=dict(num_groups=8),
            encoder=dict(
                num_layers=2,
                layer_cfg=dict(self_attn_cfg=_attention, ffn_cfg=_feed_forward),
            ),
            positional_encoding=_positions,
        ),
        positional_encoding=_positions,
        transformer_decoder=dict(
            num_layers=3,  # one for each level of the pyramid
            layer_cfg=dict(
                self_attn_cfg=_attention, cross_attn_cfg=_attention, ffn_cfg=_feed_forward),
        ),
        train_cfg=dict(num_points=1024),
    ),
    test_cfg=dict(crop_size=crop_size, stride=(171, 171)),  # stride: 2/3 of the crop
)

max_iters = 400
optim_wrapper = dict(optimizer=dict(lr=3e-3), clip_grad=dict(max_norm=10.0))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.1, begin=0, end=20, by_epoch=False),
    dict(type="PolyLR", eta_min=0, power=0.9, begin=20, end=max_iters, by_epoch=False),
]
train_cfg = dict(max_iters=max_iters, val_begin=max_iters + 1)  # tested afterwards, by test.py
default_hooks = dict(
    logger=dict(interval=25),
    checkpoint=dict(interval=max_iters // 2, max_keep_ckpts=1),
)
