"""EVA02, CLIP and ConvNeXt give the numbers of the published implementation; ResNet its names."""

import json

import pytest
import torch
from conftest import build
from mmengine.config import Config

from rein.checkpoint.families import CLIP
from rein.checkpoint.families.clip import ARCHIVE
from rein.checkpoint.resampling import fit
from rein.models.freezing import count_parameters, trained_state_dict

REINS = dict(type="LoRAReins", token_length=100, lora_dim=16, patch_size=16,
             link_token_to_query=True)


class Case:
    """A tiny published backbone with its reference numbers."""

    def __init__(self, folder, name):
        self.config = Config(json.loads((folder / f"{name}.json").read_text()))
        self.numbers = torch.load(folder / f"{name}.pt", weights_only=True)
        self.saved = json.loads((folder / f"{name}_published_keys.json").read_text())
        self.weights = self.part("backbone.")
        self.backbone = build(self.config.backbone).eval()
        self.backbone.load_state_dict(self.weights, strict=True)

    def part(self, prefix):
        return {name.removeprefix(prefix): value
                for name, value in self.numbers["state_dict"].items() if name.startswith(prefix)}


@pytest.fixture(scope="module")
def eva(reference):
    return Case(reference, "tiny_rein_eva02")


@pytest.fixture(scope="module")
def convnext(reference):
    return Case(reference, "tiny_rein_convnext")


@pytest.fixture(scope="module")
def clip(reference):
    return Case(reference, "tiny_clip")


def check(found, expected):
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=0)


def plain(case):
    """Switch the adapter of a case off; return its backbone."""
    twin = build(case.config.backbone).eval()
    twin.load_state_dict(case.weights)
    for name, parameter in twin.reins.named_parameters():
        if name.endswith("scale"):
            torch.nn.init.zeros_(parameter)
    return twin


@pytest.mark.parametrize("name", ["eva", "convnext"])
@torch.no_grad()
def test_refined_and_plain_features_and_queries(name, request):
    case = request.getfixturevalue(name)
    numbers = case.numbers
    for suffix in ("", "2"):
        if "x" + suffix not in numbers:
            continue
        feats = case.backbone(numbers["x" + suffix])
        check(feats, numbers["feats" + suffix])
        check([feats.queries], [numbers["queries"]])
        check(plain(case)(numbers["x" + suffix]), numbers["plain_feats" + suffix])


@torch.no_grad()
def test_each_stage_has_its_share_of_the_queries(convnext):
    check([adapter.queries() for adapter in convnext.backbone.reins.children()],
          convnext.numbers["query_parts"])


@pytest.mark.parametrize("name", ["eva", "convnext"])
def test_trainable_and_saved_parameters_are_the_published_ones(name, request):
    case = request.getfixturevalue(name)
    saved = sorted(f"backbone.{key}" for key in trained_state_dict(case.backbone))
    assert saved == sorted(case.saved) == sorted(case.numbers["trainable"])


@pytest.mark.parametrize("name", ["eva", "convnext", "clip"])
def test_state_dicts_have_the_published_names_and_values(name, request):
    case = request.getfixturevalue(name)
    state = case.backbone.state_dict()
    computed = {key for key in case.weights if "rope" in key}
    assert state.keys() == case.weights.keys() - computed
    assert all(torch.equal(state[key], case.weights[key]) for key in state)


@torch.no_grad()
def test_clip_and_its_neck_at_two_sizes(clip):
    neck = build(clip.config.neck)
    neck.load_state_dict(clip.part("neck."), strict=True)
    for suffix in ("", "2"):
        feats = clip.backbone(clip.numbers["x" + suffix])
        check(feats, clip.numbers["feats" + suffix])
        check(neck(feats), clip.numbers["neck" + suffix])


def test_clips_pretrained_file_is_resampled_as_published(clip):
    weights = ARCHIVE.to_timm(clip.numbers["pretrained"])
    fitted = fit(weights, clip.backbone.model.state_dict(), (4, 4), CLIP)
    found = CLIP.published.from_timm(fitted)
    for name, expected in clip.numbers["resampled"].items():
        torch.testing.assert_close(found[name], expected, atol=1e-5, rtol=0)


def test_resnet_has_the_published_names_and_no_trained_statistics():
    backbone = build(dict(
        type="ReinsResNetV1c", depth=18, stem_channels=8, base_channels=8, reins_config=dict(
            REINS, token_length=4, lora_dim=2, query_dims=8)))
    state = backbone.state_dict()
    assert {"stem.0.weight", "stem.7.running_mean", "layer4.1.bn2.weight",
            "reins.3.learnable_tokens_a"} <= state.keys()
    backbone.load_state_dict(state, strict=True)
    assert all(name.startswith("reins.") for name in trained_state_dict(backbone))


COUNTS = {
    "EVA02-L": (2_990_081, dict(type="ReinsEVA2", reins_config=REINS)),
    "CLIP-L": (2_990_081, dict(
        type="CLIPVisionTransformer", width=1024, layers=24, heads=16, patch_size=16,
        reins_config=REINS, out_indices=[7, 11, 15, 23])),
    "ConvNeXt-L": (8_289_156, dict(
        type="ReinsConvNeXt", arch="large", gap_before_final_norm=False, reins_config=REINS)),
    "ResNet-50": (13_187_588, dict(type="ReinsResNetV1c", depth=50, reins_config=REINS)),
    "ResNet-101": (13_493_316, dict(type="ReinsResNetV1c", depth=101, reins_config=REINS)),
    "DINOv2-S": (684_033, dict(
        type="VisionFoundationModel", model="vit_small_patch14_dinov2", reins_config=REINS)),
    "DINOv2-B": (1_741_569, dict(
        type="VisionFoundationModel", model="vit_base_patch14_dinov2", reins_config=REINS)),
    "SAM-H": (4_510_721, dict(
        type="VisionFoundationModel", model="samvit_huge_patch16", reins_config=REINS)),
}


@pytest.mark.parametrize("name", COUNTS)
def test_trainable_parameters_at_real_size(name):
    expected, config = COUNTS[name]
    with torch.device("meta"):
        backbone = build(config)
    assert count_parameters(backbone).trainable == expected


@pytest.mark.parametrize("config, message", [
    (dict(type="ReinsConvNeXt"), "gap_before_final_norm=True"),
    (dict(type="ReinsConvNeXt", gap_before_final_norm=False, arch="big"), "arch='big' is unknown"),
    (dict(type="ReinsResNetV1c", dilations=(1, 1, 2, 4)), r"dilations=\(1, 1, 2, 4\)"),
    (dict(type="ReinsEVA2", use_rel_pos_bias=True), "use_rel_pos_bias=True"),
    (dict(type="CLIPVisionTransformer", get_embeddings=True), "get_embeddings=True"),
])
def test_variants_that_were_not_released_are_refused(config, message):
    with pytest.raises(ValueError, match=message):
        build(dict(config, reins_config=REINS))
