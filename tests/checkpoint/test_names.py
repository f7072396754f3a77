"""Files of the same network load to the same weights, whoever published them."""

import pytest
import torch
from conftest import dino

from rein import checkpoint as ckpt
from rein.models import VisionFoundationModel

VARIANTS = [dict(), dict(ffn_layer="swiglufused"), dict(num_register_tokens=4),
            dict(ffn_layer="swiglufused", num_register_tokens=4)]


def hugging_face(state_dict):
    """Rename DINOv2's weights to Hugging Face's names."""
    pairs = (("pos_embed", "embeddings.position_embeddings"),
             ("patch_embed.proj", "embeddings.patch_embeddings.projection"),
             ("blocks.", "encoder.layer."), (".attn.proj", ".attention.output.dense"),
             (".ls1.gamma", ".layer_scale1.lambda1"), (".ls2.gamma", ".layer_scale2.lambda1"),
             ("mlp.w12", "mlp.weights_in"), ("mlp.w3", "mlp.weights_out"))
    renamed = {}
    for name, value in state_dict.items():
        for ours, theirs in pairs:
            name = name.replace(ours, theirs)
        if name in ("cls_token", "register_tokens", "mask_token"):
            name = f"embeddings.{name}"
        if name.startswith("norm."):
            name = f"layer{name}"
        if ".attn.qkv." in name:
            for part, third in zip(("query", "key", "value"), value.chunk(3), strict=True):
                renamed[name.replace("attn.qkv", f"attention.attention.{part}")] = third
        else:
            renamed[name] = value
    return renamed


@pytest.mark.parametrize("variant", VARIANTS)
def test_timm_and_hugging_face_files_load_to_the_same_outputs(tmp_path, variant):
    model = dino(**variant).eval()
    expected = model.state_dict()
    files = {"timm": model.model.state_dict(), "Hugging Face": hugging_face(expected)}
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        output = model.model.forward_features(image)
    for whose, weights in files.items():
        path = ckpt.save_file(weights, tmp_path / f"{whose}.safetensors")
        assert ckpt.naming(weights) == (whose if variant or whose != "timm" else "DINOv2")
        twin = dino(**variant).eval()
        for parameter in twin.parameters():
            parameter.data.zero_()
        twin.load_pretrained(ckpt.load_backbone(path), path)
        with torch.no_grad():
            assert torch.equal(twin.model.forward_features(image), output), whose
        assert ckpt.fingerprint_difference(
            ckpt.fingerprint(expected), ckpt.fingerprint(ckpt.to_dinov2_names(weights))) is None


@pytest.mark.parametrize("model", ["eva02_tiny_patch14_224", "eva02_base_patch14_224",
                                   "vit_huge_plus_patch16_dinov3", "vit_giant_patch14_dinov2"])
def test_timms_own_file_of_a_gated_network_loads(model):
    """Gated layers may be packed (EVA02-Ti, ViT-g) or separate (EVA02-B, DINOv3-H+)."""
    backbone = VisionFoundationModel(model, img_size=56 if "14" in model else 64, depth=1)
    weights = {name: torch.randn_like(value) for name, value in backbone.model.state_dict().items()}
    backbone.load_pretrained(weights, "FILE")
    for name, value in backbone.model.state_dict().items():
        assert torch.equal(value, weights[name]), name
    assert ckpt.identify(weights).backbone.gated
