"""Networks of Hugging Face's transformers, converted, give the features that theirs give.

transformers is not required, and the tests are skipped without it. docs/backbones.md has the
differences that they print:

    pip install transformers
    python -m pytest tests/checkpoint/test_transformers_parity.py -s
"""

import pytest
import torch

from rein.checkpoint import load_backbone, save_file
from rein.engine.weights.downloads import find_source
from rein.engine.weights.loading import load_fitted
from rein.models import VisionFoundationModel

transformers = pytest.importorskip("transformers")

SIDE = 64
VIT = dict(embed_dim=32, depth=2, num_heads=2)
_HF = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=128,
           image_size=SIDE)
CASES = {
    "DINOv2": ("vit_small_patch14_dinov2", "Dinov2", dict(
        _HF, image_size=70, patch_size=14, layerscale_value=0.5), dict(img_size=70)),
    "DINOv2, registers": ("vit_small_patch14_reg4_dinov2", "Dinov2WithRegisters", dict(
        _HF, image_size=70, patch_size=14, layerscale_value=0.5), dict(img_size=70)),
    "DINOv3": ("vit_small_patch16_dinov3_qkvb", "DINOv3ViT", dict(
        _HF, patch_size=16, num_register_tokens=4, layerscale_value=0.5), dict(img_size=SIDE)),
    "CLIP": ("vit_base_patch16_clip_quickgelu_224", "CLIPVision", dict(
        _HF, patch_size=16, hidden_act="quick_gelu"), dict(img_size=SIDE)),
    "SigLIP": ("vit_base_patch16_siglip_512", "SiglipVision", dict(
        _HF, patch_size=16), dict(img_size=SIDE)),
    "ViT": ("vit_base_patch16_224", "ViT", dict(_HF, patch_size=16), dict(img_size=SIDE)),
    "BEiT": ("beit_base_patch16_224", "Beit", dict(
        _HF, patch_size=16, use_relative_position_bias=True, layer_scale_init_value=0.5),
        dict(img_size=SIDE)),
    "SAM": ("samvit_base_patch16", "SamVision", dict(
        _HF, patch_size=16, global_attn_indexes=[1], mlp_dim=128),
        dict(img_size=SIDE, global_attn_indexes=(1,))),
    "ConvNeXt": ("convnext_tiny", "ConvNext", dict(
        hidden_sizes=[6, 10, 12, 20], depths=[1, 1, 2, 1], layer_scale_init_value=0.5),
        dict(dims=(6, 10, 12, 20), depths=(1, 1, 2, 1))),
    "ConvNeXt, DINOv3": ("convnext_tiny.dinov3_lvd1689m", "DINOv3ConvNext", dict(
        hidden_sizes=[6, 10, 12, 20], depths=[1, 1, 2, 1], layer_scale_init_value=0.5),
        dict(dims=(6, 10, 12, 20), depths=(1, 1, 2, 1))),
    "SAM 2 Hiera": ("sam2_hiera_tiny", "Sam2HieraDet", dict(
        hidden_size=24, num_attention_heads=1, blocks_per_stage=[1, 1, 2, 1],
        embed_dim_per_stage=[24, 48, 96, 192], num_attention_heads_per_stage=[1, 2, 4, 8],
        global_attention_blocks=[3], image_size=[SIDE, SIDE]),
        dict(embed_dim=24, num_heads=1, stages=(1, 1, 2, 1), global_att_blocks=(3,))),
}
def their_network(kind, config):
    """Build a network of transformers with seeded weights, far from their initial ones."""
    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(**config)
    network = getattr(transformers, f"{kind}Model")(config).eval()
    with torch.no_grad():
        for name, value in network.named_parameters():
            is_scale = value.ndim == 1 and name.endswith("weight") or "lambda" in name
            value.normal_(std=0.1).add_(1.0 if is_scale else 0.0)
    return network


def in_layout(state, like):
    """Return tokens or a map of any layout as (B, C, h, w), or None if it is another map's."""
    _, channels, height, width = like.shape
    if state.ndim == 3:  # patches are last
        state = state[:, -height * width:].unflatten(1, (height, width))
    if state.shape[-1] == channels:
        state = state.permute(0, 3, 1, 2)
    return state if state.shape == like.shape else None


@pytest.mark.parametrize("name", CASES)
def test_features_are_those_of_transformers(name, tmp_path):
    model, kind, config, arguments = CASES[name]
    network = their_network(kind, config)
    is_plain = "dims" not in arguments and "stages" not in arguments
    ours = VisionFoundationModel(model, **(VIT if is_plain else {}) | arguments).eval()
    network.save_pretrained(tmp_path)
    path = find_source(str(tmp_path))
    if name == "SAM 2 Hiera":  # the part of a `Sam2Model`
        save_file({f"vision_encoder.backbone.{key}": value
                   for key, value in load_backbone(path).items()}, path)
    ours.load_pretrained(load_fitted(path, ours), path)
    side = arguments.get("img_size", SIDE)
    images = torch.randn(1, 3, side, side)
    with torch.no_grad():
        maps = ours(images).maps
        states = network(images, output_hidden_states=True).hidden_states
    states = [[found for state in states if (found := in_layout(state, one)) is not None]
              for one in maps]
    pairs = [(one, found[-1]) for one, found in zip(maps, states, strict=True)]
    if is_plain:  # all maps have one size; the first three are those of block 0
        pairs = [(maps[0], states[0][1]), pairs[-1]]
    difference = max(float((one - other).abs().max()) for one, other in pairs)
    largest = max(float(other.abs().max()) for _, other in pairs)
    print(f"{name}: {difference:.1e} of {largest:.1f}")
    assert difference < 1e-5 * largest
