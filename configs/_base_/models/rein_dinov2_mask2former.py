"""Frozen DINOv2-L with a Rein adapter of rank 16 whose tokens become the head's queries."""

_base_ = "./dinov2_mask2former.py"
model = dict(
    backbone=dict(
        type="ReinsDinoVisionTransformer",
        reins_config=dict(
            type="LoRAReins",
            token_length=100,
            embed_dims=1024,
            num_layers=24,
            patch_size=16,
            link_token_to_query=True,
            lora_dim=16,
        ),
    ),
    decode_head=dict(linked_queries=True, replace_query_feat=True),
)
