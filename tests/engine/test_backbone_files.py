"""One command converts the released file of any backbone."""

import pytest
import torch

from rein import checkpoint as ckpt
from rein.checkpoint.description import describe
from rein.engine.backbone_files import build_target, convert_backbone
from rein.engine.downloads import find_source
from rein.engine.weights import fit_backbone
from rein.errors import UserError
from rein.models import VisionFoundationModel

CONFIG = '''
model = dict(backbone=dict(
    type="VisionFoundationModel", model="eva02_large_patch14_224", embed_dim=32, depth=2,
    num_heads=2, img_size=64, patch_size=16,
    reins_config=dict(type="LoRAReins", embed_dims=32, num_layers=2),
    init_cfg=dict(type="Pretrained", checkpoint="OUT")))
'''
NAMES = (("fc1_g", "w1"), ("fc1_x", "w2"), ("mlp.fc2", "mlp.w3"), ("mlp.norm", "mlp.ffn_ln"),
         ("q_proj.bias", "q_bias"), ("v_proj.bias", "v_bias"))


@pytest.fixture
def eva(tmp_path):
    """Write a config and an official file of a tiny EVA02 at patch 14."""
    torch.manual_seed(0)
    config, out = tmp_path / "tiny_eva.py", tmp_path / "eva_converted.pth"
    config.write_text(CONFIG.replace("OUT", str(out)))
    network = VisionFoundationModel(
        "eva02_large_patch14_224", embed_dim=32, depth=2, num_heads=2, img_size=70).model
    weights = {name: torch.randn_like(value).half() for name, value in network.state_dict().items()}
    official = {}
    for name, value in weights.items():
        for ours, theirs in NAMES:
            name = name.replace(ours, theirs)
        official[name] = value
    official["blocks.0.attn.rope.freqs_cos"] = torch.zeros(25, 16)
    source = tmp_path / "eva02_T_pt.pt"
    torch.save(dict(module=official), source)
    return config, source, out, weights


def test_a_file_is_converted_to_a_configs_names_and_size(eva):
    config, source, out, weights = eva
    assert convert_backbone(str(source), model=str(config)) == out
    content = ckpt.load_file(out)
    found = ckpt.state_dict_of(content)
    kernel = torch.nn.functional.interpolate(
        weights["patch_embed.proj.weight"].float(), (16, 16), mode="bicubic", align_corners=False)
    torch.testing.assert_close(found["patch_embed.proj.weight"], kernel, atol=1e-3, rtol=0)
    assert found["pos_embed"].shape == (1, 17, 32) and found["pos_embed"].dtype == torch.float32
    assert torch.equal(found["blocks.1.mlp.fc1_g.weight"],
                       weights["blocks.1.mlp.fc1_g.weight"].float())
    rows = describe(content, out)
    assert rows["kind"] == "converted backbone"
    assert rows["model"] == "tiny_eva, converted to 64x64 pixels, patch 16"
    with pytest.raises(UserError, match="already converted, to 64x64"):
        convert_backbone(str(out), model=str(config))


def test_another_network_is_refused_in_one_line(eva, tmp_path):
    _, source, _, _ = eva
    with pytest.raises(UserError, match="They belong to another network") as error:
        convert_backbone(str(source), tmp_path / "out.pth", "eva02_tiny_patch14_224")
    assert "\n" not in str(error.value) and not (tmp_path / "out.pth").exists()


@pytest.mark.parametrize("model, sizes, message", [
    (None, {}, "name its network with --model"),
    ("vit_huge_unknown", {}, "neither a network of timm"),
    ("convnext_tiny", dict(patch_size=16), "takes images of any size"),
    ("vit_tiny_patch16_224", dict(img_size=(100, 100)), "not a multiple of patch size 16"),
])
def test_wrong_arguments_are_refused(model, sizes, message, tmp_path):
    with pytest.raises(UserError, match=message):
        convert_backbone(str(tmp_path / "absent.pth"), model=model, **sizes)


def test_published_types_are_targets():
    backbone = build_target("EVA2", (512, 1024), 16).backbone
    state = backbone.state_dict()
    assert {"blocks.23.mlp.w3.weight", "blocks.0.attn.q_bias"} <= state.keys()
    assert not any(name.startswith("reins.") for name in state)


def test_offline_downloads_fail_with_the_way_out(monkeypatch, tmp_path):
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError

    def offline(repository, file):
        raise LocalEntryNotFoundError("cannot reach the Hub\nmany lines")

    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *args: None)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", offline)
    for source, repository in (
            ("timm:vit_base_patch16_dinov3.lvd1689m", "timm/vit_base_patch16_dinov3.lvd1689m"),
            ("hf:facebook/dinov2-base", "facebook/dinov2-base")):
        with pytest.raises(UserError, match=f"hf download {repository} model.safetensors") as error:
            find_source(source)
        assert "\n" not in str(error.value)
    with pytest.raises(UserError, match="expected hf:OWNER/NAME"):
        find_source("hf:dinov2")
    with pytest.raises(UserError, match="timm has no such model"):
        find_source("timm:vit_unknown")


def test_a_cached_file_is_used_without_network(monkeypatch, tmp_path):
    import huggingface_hub

    cached = {"model.safetensors": None, "open_clip_model.safetensors": "FILE"}
    monkeypatch.setattr(
        huggingface_hub, "try_to_load_from_cache", lambda repository, file: cached[file])
    assert find_source("hf:laion/CLIP") == "FILE"
    assert find_source("hf:laion/CLIP/open_clip_model.safetensors") == "FILE"


def test_efficientnets_of_the_pytorch_package_are_numbered_by_stage():
    """Its blocks count through, and a block without expansion has the names of one with."""
    torch.manual_seed(0)
    backbone = VisionFoundationModel("tf_efficientnet_lite0")
    parts = dict(conv_pw="_expand_conv", bn1="_bn0", conv_dw="_depthwise_conv", bn2="_bn1",
                 conv_pwl="_project_conv", bn3="_bn2")
    first = dict(conv_dw="_depthwise_conv", bn1="_bn1", conv_pw="_project_conv", bn2="_bn2")
    blocks = [(s, b) for s, stage in enumerate(backbone.model.blocks) for b in range(len(stage))]
    theirs = {}
    for name, value in backbone.model.state_dict().items():
        if name.startswith("blocks."):
            _, stage, block, part, *rest = name.split(".")
            table = first if (stage, block) == ("0", "0") else parts
            number = blocks.index((int(stage), int(block)))
            name = ".".join(["_blocks", str(number), table[part], *rest])
        else:
            name = name.replace("conv_stem", "_conv_stem").replace("bn1", "_bn0")
        theirs[name] = value
    fitted = fit_backbone(theirs, backbone)
    expected = backbone.state_dict()
    assert fitted.keys() == expected.keys()
    assert all(torch.equal(fitted[name], value) for name, value in expected.items())
