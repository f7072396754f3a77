"""Official files of every family load to the weights that timm's own conversion gives."""

import re

import pytest
import timm
import timm.models as tm
import torch
from official_files import OFFICIAL, dinov3, renamed, tiny
from timm.models import hieradet_sam2, vision_transformer_sam

from rein import checkpoint as ckpt
from rein.checkpoint.families import FAMILIES, TIMM, family_of
from rein.engine.weights.loading import fit_backbone
from rein.errors import UserError
from rein.models import VisionFoundationModel

VIT = dict(embed_dim=32, depth=2, num_heads=2)
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


def test_every_family_has_an_official_file():
    assert {family_of(name) for name in OFFICIAL} == set(FAMILIES)


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
