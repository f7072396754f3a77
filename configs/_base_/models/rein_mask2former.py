"""Any frozen timm network with Rein of rank 16, whose sizes come from the network."""

_base_ = "./frozen_mask2former.py"
model = dict(
    backbone=dict(
        reins_config=dict(
            type="LoRAReins", token_length=100, link_token_to_query=True, lora_dim=16)),
    decode_head=dict(linked_queries=True, replace_query_feat=True),
)
