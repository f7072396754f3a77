"""Official files of every family load to the weights that timm's own conversion gives."""

import re

import pytest
import timm
import timm.models as tm
import torch
from timm.models import hieradet_sam2, vision_transformer_sam

from rein import checkpoint as ckpt
from rein.checkpoint.families import FAMILIES, TIMM, family_of
from rein.engine.weights import fit_backbone
from rein.errors import UserError
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
}
FILTERS = {
    "vit_small_patch14_reg4": tm.vision_transformer.checkpoint_filter_fn,
    "vit_base_patch14_reg1": tm.vision_transformer.checkpoint_filter_fn,
    "radio": tm.vision_transformer.checkpoint_filter_fn,
    "clip": tm.vision_transformer.checkpoint_filter_fn,
    "siglip": tm.vision_transformer.checkpoint_filter_fn,
    "dinov3": tm.eva.checkpoint_filter_fn, "eva02": tm.eva.checkpoint_filter_fn,
    "vit_pe": tm.eva.checkpoint_filter_fn,
    "samvit": vision_transformer_sam.checkpoint_filter_fn,
    "beit": tm.beit.checkpoint_filter_fn, "swin": tm.swin_transformer.checkpoint_filter_fn,
    "convnext": tm.convnext.checkpoint_filter_fn,
    "sam2": lambda weights, model: hieradet_sam2.checkpoint_filter_fn(
        weights, prefix="image_encoder.trunk."),
}


def tiny(name):
    """Build a tiny backbone with random weights."""
    torch.manual_seed(0)
    backbone = VisionFoundationModel(name, **OFFICIAL[name][0]).eval()
    for value in backbone.model.state_dict().values():
        if value.is_floating_point():
            value.normal_(std=0.1).abs_()
    for part, value in backbone.model.state_dict().items():
        if part == "patch_embed.proj.bias" and "radio" in name:  # official files have none
            value.zero_()
    return backbone


@pytest.mark.parametrize("name", OFFICIAL)
def test_an_official_file_loads_as_timm_converts_it(name):
    backbone, twin = tiny(name), VisionFoundationModel(name, **OFFICIAL[name][0]).eval()
    expected = backbone.model.state_dict()
    official = OFFICIAL[name][1](expected)
    filter_fn = next((fn for part, fn in FILTERS.items() if part in name), None)
    if filter_fn:  # timm agrees that these are the official names
        converted = filter_fn(dict(official), backbone.model)
        for key, value in expected.items():
            torch.testing.assert_close(converted[key], value)
    twin.load_pretrained(fit_backbone(official, twin), "FILE")
    for key, value in twin.model.state_dict().items():
        if "num_batches" not in key:
            torch.testing.assert_close(value, expected[key])
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        for found, wanted in zip(twin(image), backbone(image), strict=True):
            torch.testing.assert_close(found, wanted)


def split_qkv(weights, query, key, value):
    """Split joined projections as Hugging Face does."""
    parts = {}
    for name, joined in weights.items():
        if ".attn.qkv." not in name:
            parts[name] = joined
            continue
        for part, third in zip((query, key, value), joined.chunk(3), strict=True):
            parts[name.replace("attn.qkv", part)] = third
    return parts


DINOV3_HF = (
    (r"^(cls_token)$", r"embeddings.\1"), ("^reg_token$", "embeddings.register_tokens"),
    (r"^patch_embed\.proj", "embeddings.patch_embeddings"), (r"^blocks\.", "layer."),
    (r"attn\.([qv])_bias", r"attention.\1_proj.bias"), (r"attn\.proj", "attention.o_proj"),
    (r"gamma_(\d)", r"layer_scale\1.lambda1"), ("fc1_g", "gate_proj"), ("fc1_x|fc1", "up_proj"),
    ("fc2", "down_proj"))
CLIP_HF = (
    ("^cls_token$", "embeddings.class_embedding"),
    ("^pos_embed$", "embeddings.position_embedding.weight"),
    (r"^patch_embed\.proj", "embeddings.patch_embedding"), ("^norm_pre", "pre_layrnorm"),
    (r"^blocks\.", "encoder.layers."), (r"\.norm(\d)", r".layer_norm\1"),
    (r"attn\.proj", "self_attn.out_proj"))
HUGGING_FACE = {
    "vit_small_patch16_dinov3_qkvb": lambda w: renamed(split_qkv(
        w, *(f"attention.{part}_proj" for part in "qkv")), DINOV3_HF),
    "vit_huge_plus_patch16_dinov3": lambda w: renamed(split_qkv(
        w, *(f"attention.{part}_proj" for part in "qkv")), DINOV3_HF),
    "vit_base_patch16_clip_quickgelu_224": lambda w: renamed(split_qkv(
        w, *(f"self_attn.{part}_proj" for part in "qkv")), CLIP_HF, "vision_model.",
        others=("text_model.x", "logit_scale", "vision_model.post_layernorm.weight")),
}


@pytest.mark.parametrize("name", HUGGING_FACE)
def test_a_file_of_hugging_face_loads(name):
    backbone, twin = tiny(name), VisionFoundationModel(name, **OFFICIAL[name][0])
    official = HUGGING_FACE[name](backbone.model.state_dict())
    assert ckpt.naming(official) == "Hugging Face"
    twin.load_pretrained(fit_backbone(official, twin), "FILE")
    for key, value in twin.model.state_dict().items():
        assert torch.equal(value, backbone.model.state_dict()[key]), key


def test_biases_that_the_network_lacks_are_refused():
    """Timm has DINOv3 with and without biases of queries and values; zeros may be dropped."""
    weights = dinov3(tiny("vit_small_patch16_dinov3_qkvb").model.state_dict())
    plain = VisionFoundationModel("vit_small_patch16_dinov3", **VIT, img_size=64)
    with pytest.raises(UserError, match="ends with _qkvb"):
        fit_backbone(weights, plain)
    for name, value in weights.items():
        if name.endswith("qkv.bias"):
            weights[name] = torch.zeros_like(value)
    plain.load_pretrained(fit_backbone(weights, plain), "FILE")


@pytest.mark.parametrize("name", [name for name in OFFICIAL if "reg" not in name])
def test_a_segmentor_is_split_and_keeps_its_fingerprint(name):
    backbone = tiny(name)
    weights = backbone.state_dict()
    head = {"decode_head.cls_embed.weight": torch.zeros(20, 8)}
    segmentor = ckpt.merge(weights, head)
    found = ckpt.identify(segmentor)
    assert found.kind is ckpt.Kind.SEGMENTOR and found.backbone == ckpt.identify(weights).backbone
    parts = ckpt.split(segmentor)
    assert parts.backbone.keys() == weights.keys() and parts.rein_and_head.keys() == head.keys()
    official = fit_backbone(OFFICIAL[name][1](backbone.model.state_dict()), backbone)
    trained = ckpt.fingerprint(weights)
    assert ckpt.fingerprint_difference(trained, ckpt.fingerprint(official)) is None
    other = {key: value + 1 if "norm" in key or "bn" in key else value
             for key, value in weights.items()}
    assert ckpt.fingerprint_difference(trained, ckpt.fingerprint(other))


@pytest.mark.parametrize("name", OFFICIAL)
def test_a_file_tells_its_network(name):
    backbone = tiny(name)
    for weights in (backbone.state_dict(), OFFICIAL[name][1](backbone.model.state_dict())):
        found = ckpt.identify(weights)
        assert found.kind in (ckpt.Kind.ORIGINAL, ckpt.Kind.CONVERTED)
        # Perception Encoder with a class token has CLIP's names
        assert found.backbone.family == ("CLIP" if "vit_pe" in name else family_of(name).name)
        assert found.backbone.depth == sum(n for n, _ in found.backbone.stages) or 2


def test_no_network_of_timm_belongs_to_two_families():
    for name in timm.list_models():
        matching = [family.name for family in FAMILIES[:-1] if re.search(family.timm, name)]
        assert len(matching) <= 1, (name, matching)


def test_openmmlabs_merged_pixels_are_reordered():
    """Mmpretrain's Swin orders merged pixels by `nn.Unfold`, timm by slices."""
    unfold, image = torch.nn.Unfold(2, stride=2), torch.randn(1, 3, 2, 2)
    weight = torch.randn(5, 12)
    theirs = weight @ unfold(image)[0]
    weights = {"stages.0.blocks.0.attn.w_msa.qkv.weight": torch.zeros(1),
               "stages.0.downsample.reduction.weight": weight}
    ours = ckpt.translate(weights, TIMM)["layers.1.downsample.reduction.weight"]
    pixels = image[0].permute(1, 2, 0)  # timm: columns first
    merged = torch.cat([pixels[0, 0], pixels[1, 0], pixels[0, 1], pixels[1, 1]])
    torch.testing.assert_close(ours @ merged, theirs[:, 0])
