"""Tiny networks of every family, and their weights under the publishers' names."""

import re

import torch

from rein.models import VisionFoundationModel

VIT = dict(embed_dim=32, depth=2, num_heads=2)
CLIP = ((r"^patch_embed\.proj", "conv1"), (r"^cls_token$", "class_embedding"),
        (r"^pos_embed$", "positional_embedding"), (r"^norm_pre", "ln_pre"),
        (r"^norm\.", "ln_post."), (r"^blocks\.(\d+)\.norm", r"transformer.resblocks.\1.ln_"),
        (r"^blocks\.(\d+)\.gamma_(\d)", r"transformer.resblocks.\1.ls_\2.gamma"),
        (r"^blocks\.(\d+)", r"transformer.resblocks.\1"), (r"qkv\.", "in_proj_"),
        (r"attn\.proj", "attn.out_proj"), ("fc1", "c_fc"), ("fc2", "c_proj"))
GATED = (("fc1_g", "w1"), ("fc1_x", "w2"), ("mlp.fc2", "mlp.w3"))
DINOV3 = (("reg_token", "storage_tokens"), (r"gamma_(\d)", r"ls\1.gamma"))
CONVNEXT = ((r"^stem\.", "downsample_layers.0."),
            (r"stages\.(\d)\.downsample", r"downsample_layers.\1"),
            (r"stages\.(\d)\.blocks", r"stages.\1"), ("conv_dw", "dwconv"), (r"mlp\.fc", "pwconv"),
            (r"^head\.norm", "norm"))


def renamed(weights, pairs, prefix="", **extra):
    """Rename weights by regular expressions, as their publisher names them."""
    official = {}
    for name, value in weights.items():
        for old, new in pairs:
            name = re.sub(old, new, name)
        official[prefix + name] = value
    return official | {name: torch.zeros(1) for name in extra.pop("others", ())}


def flat(weights, prefix="", **kwargs):
    """Rename as OpenAI does, whose token and positions have no batch axis."""
    axes = dict(cls_token=(0, 0), pos_embed=(0,))
    weights = {name: value[axes.get(name, ...)] for name, value in weights.items()}
    return renamed(weights, CLIP, prefix, **kwargs)


def dinov3(weights):
    """Join biases as Meta does, with a mask in place of the keys' bias."""
    weights = dict(weights)
    for name in [name for name in weights if name.endswith("q_bias")]:
        block = name.removesuffix("q_bias")
        query, value = weights.pop(name), weights.pop(f"{block}v_bias")
        weights[f"{block}qkv.bias"] = torch.cat((query, torch.full_like(query, 7), value))
        weights[f"{block}qkv.bias_mask"] = torch.zeros(96)
    return renamed(weights, (*DINOV3, *GATED), others=("mask_token", "rope_embed.periods"))


def radio(weights):
    """Flatten the kernel and join class token and registers as NVIDIA does."""
    weights = dict(weights)
    tokens = torch.cat((weights.pop("cls_token"), weights.pop("reg_token")), 1)[0]
    weights.pop("patch_embed.proj.bias")
    weights["patch_generator.cls_token.token"] = tokens
    weights["patch_generator.embedder.weight"] = weights.pop("patch_embed.proj.weight").flatten(1)
    weights["patch_generator.pos_embed"] = weights.pop("pos_embed")
    return renamed(weights, ((r"ls(\d)\.gamma", r"ls\1.grandma"),), "radio_model.model.",
                   others=("radio_model.input_conditioner.norm_mean",))


def registers(weights, **kwargs):
    """Give the class token a position as DINOv2 does."""
    weights = dict(weights)
    position = torch.ones_like(weights["cls_token"])
    weights["cls_token"] = weights["cls_token"] - position
    weights["pos_embed"] = torch.cat((position, weights["pos_embed"]), 1)
    return renamed(weights, (("reg_token", "register_tokens"),), **kwargs)


def efficientnet(weights):
    """Number blocks as the PyTorch package does; the first one has the names of the others."""
    parts = dict(conv_pw="_expand_conv", bn1="_bn0", conv_dw="_depthwise_conv", bn2="_bn1",
                 conv_pwl="_project_conv", bn3="_bn2")
    first = dict(conv_dw="_depthwise_conv", bn1="_bn1", conv_pw="_project_conv", bn2="_bn2")
    blocks = sorted({tuple(map(int, name.split(".")[1:3])) for name in weights
                     if name.startswith("blocks.")})
    theirs = {}
    for name, value in weights.items():
        if name.startswith("blocks."):
            _, stage, block, part, *rest = name.split(".")
            number = blocks.index((int(stage), int(block)))
            name = ".".join(["_blocks", str(number), (parts if number else first)[part], *rest])
        else:
            name = name.replace("conv_stem", "_conv_stem").replace("bn1", "_bn0")
        theirs[name] = value
    return theirs


OFFICIAL = {
    "vit_small_patch14_reg4_dinov2": (
        VIT | dict(img_size=56), lambda w: registers(w, others=("mask_token",))),
    "vit_small_patch16_dinov3_qkvb": (VIT | dict(img_size=64), dinov3),
    "vit_huge_plus_patch16_dinov3": (VIT | dict(img_size=64), dinov3),
    "vit_base_patch14_reg1_tipsv2": (VIT | dict(img_size=56), lambda w: registers(
        w, prefix="vision_encoder.", others=("text_encoder.x", "vision_encoder.mask_token"))),
    "vit_base_patch16_radio_v3": (VIT | dict(img_size=64), radio),
    "eva02_large_patch14_224": (VIT | dict(img_size=56), lambda w: renamed(
        w, (*GATED, (r"([qv])_proj\.bias", r"\1_bias"), (r"mlp\.norm", "mlp.ffn_ln")),
        others=("mask_token", "rope.freqs_cos", "blocks.0.attn.rope.freqs_sin"))),
    "eva02_tiny_patch14_224": (VIT | dict(img_size=56), lambda w: renamed(
        w, (("fc1", "w12"), (r"mlp\.fc2", "mlp.w3")), others=("mask_token",))),
    "vit_base_patch16_clip_quickgelu_224": (VIT | dict(img_size=64), lambda w: flat(
        w, "visual.", others=("logit_scale", "transformer.resblocks.0.ln_1.weight"))),
    "vit_pe_spatial_base_patch16_512": (VIT | dict(img_size=64), flat),
    "samvit_base_patch16": (
        VIT | dict(img_size=64, global_attn_indexes=(1,)), lambda w: renamed(
            w, (("mlp.fc", "mlp.lin"),), "image_encoder.",
            others=("prompt_encoder.x", "mask_decoder.x"))),
    "sam2_hiera_tiny": (
        dict(embed_dim=16, num_heads=1, stages=(1, 1, 2, 1), global_att_blocks=(3,)),
        lambda w: renamed(w, (("fc1", "layers.0"), ("fc2", "layers.1")), "image_encoder.trunk.",
                          others=("memory_encoder.x",))),
    "vit_base_patch16_224": (VIT | dict(img_size=64), lambda w: renamed(
        w, (), others=("mask_token", "decoder_embed.weight", "decoder_blocks.0.norm1.weight"))),
    "beit_base_patch16_224": (VIT | dict(img_size=64), lambda w: renamed(
        w, (), others=("mask_token", "blocks.0.attn.relative_position_index", "lm_head.weight"))),
    "vit_base_patch16_siglip_512": (VIT | dict(img_size=64), lambda w: renamed(
        w, (), "visual.trunk.", others=("text.x",))),
    "swin_tiny_patch4_window7_224": (
        dict(embed_dim=16, depths=(1, 1, 1, 1), num_heads=(1, 1, 1, 1)), lambda w: renamed(
            {re.sub(r"layers\.(\d)\.down", lambda m: f"layers.{int(m[1]) - 1}.down", k): v
             for k, v in w.items()}, (),
            others=("layers.0.blocks.0.attn.relative_position_index",))),
    "convnext_tiny": (dict(dims=(8, 8, 16, 16), depths=(1, 1, 2, 1)), lambda w: renamed(
        w, CONVNEXT, others=("head.weight", "norms.3.weight"))),
    "resnet50": (dict(layers=(1, 1, 1, 1), channels=(4, 4, 8, 8)), lambda w: renamed(
        {k: v for k, v in w.items() if "batches" not in k}, (), others=("fc.weight",))),
    "tf_efficientnet_lite0": ({}, efficientnet),
}
"""timm's name -> arguments of a tiny network, and how its publisher names the weights."""


def tiny(name, **kwargs):
    """Build a tiny backbone with random weights."""
    torch.manual_seed(0)
    backbone = VisionFoundationModel(name, **OFFICIAL[name][0] | kwargs).eval()
    for value in backbone.model.state_dict().values():
        if value.is_floating_point():
            value.normal_(std=0.1).abs_()
    for part, value in backbone.model.state_dict().items():
        if part == "patch_embed.proj.bias" and "radio" in name:  # official files have none
            value.zero_()
    return backbone
