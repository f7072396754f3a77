"""The toy foundation model (ViT 192 x 8) with a small Mask2Former head, everything trainable."""

_base_ = "./dinov2_mask2former.py"
width, depth, num_queries, channels = 192, 8, 40, 64
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
