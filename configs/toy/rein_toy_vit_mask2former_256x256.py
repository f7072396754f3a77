"""Rein on the toy street world: toy GTA -> toy Cityscapes, BDD100K, Mapillary and ACDC night.

A small ViT, pretrained without labels on toy streets, and a small Mask2Former head: trains in
minutes on two CPU cores. `make quickstart` runs it with all that comes before and after. The head
learns its queries: queries linked to the tokens start alike, and 600 iterations hardly part them.

    python tools/train.py configs/toy/rein_toy_vit_mask2former_256x256.py
"""

_base_ = "../_base_/adapted_toy_vit_256x256.py"
model = dict(
    backbone=dict(
        reins_config=dict(
            type="LoRAReins",
            token_length=40,
            embed_dims=192,
            num_layers=8,
            patch_size=16,
            link_token_to_query=False,
            lora_dim=16,
        ),
    ),
)
