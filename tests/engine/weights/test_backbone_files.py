"""One command converts the released file of any backbone."""

import json

import numpy as np
import pytest
import timm
import torch
from official_files import OFFICIAL, tiny

from rein import checkpoint as ckpt
from rein.checkpoint.description import describe
from rein.engine.weights.backbone_files import build_target, convert_backbone
from rein.engine.weights.downloads import find_source
from rein.engine.weights.loading import conversion, fit_backbone, load_fitted
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


@pytest.mark.parametrize("name, message", [
    ("vit_base_patch16_224", "grid has 25 places.*convert_backbone.py SRC OUT --model CONFIG"),
    ("vit_huge_plus_patch16_dinov3", "patch size 20, but the config's model has 16"),
    ("beit_base_patch16_224", "another image size: convert the downloaded file"),
])
def test_a_converted_file_is_never_resampled_again(name, message, tmp_path):
    """Plain networks of any patch and image size show no conversion, but the file's meta does."""
    arguments, publish = OFFICIAL[name]
    resized = dict(patch_size=20) if "dinov3" in name else dict(img_size=80)
    released, target = tiny(name, **arguments | resized), tiny(name)
    weights = publish(released.model.state_dict())
    ckpt.save_file(weights, tmp_path / "released.pth")
    target.load_pretrained(load_fitted(tmp_path / "released.pth", target), "released.pth")
    converted = released.state_dict()
    ckpt.save_file(dict(state_dict=converted, meta=conversion(released, name)),
                   tmp_path / "converted.pth")
    with pytest.raises(UserError, match=message):
        target.load_pretrained(load_fitted(tmp_path / "converted.pth", target), "converted.pth")
    released.load_pretrained(load_fitted(tmp_path / "converted.pth", released), "converted.pth")


def test_another_network_is_refused_in_one_line(eva, tmp_path):
    _, source, _, _ = eva
    with pytest.raises(UserError, match="They belong to another network") as error:
        convert_backbone(str(source), tmp_path / "out.pth", "eva02_tiny_patch14_224")
    assert "\n" not in str(error.value) and not (tmp_path / "out.pth").exists()


@pytest.mark.parametrize("model, sizes, message", [
    (None, {}, "name its network with --model"),
    ("vit_huge_unknown", {}, "neither a network of timm nor .*vit_huge_unknown: no such config"),
    ("convnext_tiny", dict(patch_size=16), "takes images of any size"),
    ("vit_tiny_patch16_224", dict(img_size=(100, 100)), "not a multiple of patch size 16"),
    ("vit_tiny_patch16_224", dict(patch_size=-16), "patch_size=-16; expected a whole number"),
    ("vit_tiny_patch16_224", dict(img_size=(0, 512)), "img_size=0; expected a whole number"),
])
def test_wrong_arguments_are_refused(model, sizes, message, tmp_path):
    with pytest.raises(UserError, match=message):
        convert_backbone(str(tmp_path / "absent.pth"), model=model, **sizes)


def test_a_config_is_given_by_its_name():
    found = build_target("rein_resnet101_mask2former_512x512_bs1x4")
    assert found.checkpoint == "checkpoints/resnet101_converted.pth"


def test_published_types_are_targets():
    backbone = build_target("EVA2", (512, 1024), 16).backbone
    state = backbone.state_dict()
    assert {"blocks.23.mlp.w3.weight", "blocks.0.attn.q_bias"} <= state.keys()
    assert not any(name.startswith("reins.") for name in state)


def test_offline_downloads_fail_with_the_way_out(monkeypatch, tmp_path):
    import huggingface_hub

    def offline(url, timeout):
        raise ConnectionError("cannot reach the Hub\nmany lines")

    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *args: None)
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", offline)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", None)  # it would try for 23 seconds
    for source, repository in (
            ("timm:vit_base_patch16_dinov3.lvd1689m", "timm/vit_base_patch16_dinov3.lvd1689m"),
            ("hf:facebook/dinov2-base", "facebook/dinov2-base")):
        with pytest.raises(UserError, match=f"hf download {repository} model.safetensors") as error:
            find_source(source)
        assert "(ConnectionError: cannot reach the Hub)" in str(error.value)
    with pytest.raises(UserError, match="expected hf:OWNER/NAME"):
        find_source("hf:dinov2")
    with pytest.raises(UserError, match="timm has no such model"):
        find_source("timm:vit_unknown")


def write_shards(folder, weights):
    """Write weights as two files and an index, as Hugging Face does."""
    names = sorted(weights)
    table = {name: f"model-0000{1 + i % 2}-of-00002.safetensors" for i, name in enumerate(names)}
    folder.mkdir()
    for shard in set(table.values()):
        ckpt.save_file({name: weights[name] for name in names if table[name] == shard},
                       folder / shard)
    (folder / "model.safetensors.index.json").write_text(json.dumps(dict(weight_map=table)))
    return folder


def test_a_folder_of_shards_is_converted(eva, tmp_path):
    config, source, out, _ = eva
    expected = ckpt.load_file(convert_backbone(str(source), tmp_path / "one.pth", str(config)))
    folder = write_shards(tmp_path / "shards", ckpt.load_backbone(source))
    found = ckpt.load_file(convert_backbone(str(folder), tmp_path / "two.pth", str(config)))
    assert ckpt.digest(found["state_dict"]) == ckpt.digest(expected["state_dict"])
    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(UserError, match="index.json: model-00002-of-00002.safetensors is missing"):
        convert_backbone(str(folder), model=str(config))
    with pytest.raises(UserError, match="this folder has none of model.safetensors"):
        find_source(str(tmp_path))


def test_an_index_names_no_files_elsewhere(tmp_path):
    index = tmp_path / "model.safetensors.index.json"
    for content in ('{"weight_map": {"a": "../secret.safetensors"}}', "[]", "no json"):
        index.write_text(content)
        with pytest.raises(UserError, match="damaged"):
            ckpt.load_file(index)


def test_all_shards_of_a_repository_are_found(monkeypatch, tmp_path):
    import huggingface_hub
    from huggingface_hub.errors import EntryNotFoundError

    folder, asked = write_shards(tmp_path / "s", {"a": torch.ones(1), "b": torch.ones(1)}), []

    def download(repository, file):
        asked.append(file)
        if not (folder / file).is_file():
            raise EntryNotFoundError(file)
        return str(folder / file)

    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *args: None)
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", lambda url, timeout: None)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    assert ckpt.load_file(find_source("hf:facebook/dinov3-7b")).keys() == {"a", "b"}
    assert asked == ["model.safetensors", "model.safetensors.index.json",
                     "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]


def write_jax(path, network, prefix="", block="encoderblock_{}", numbers=(1, 3, 2)):
    """Write a network as Google does: its layers in JAX's layout."""
    heads, arrays = network.blocks[0].attn.num_heads, {}

    def put(name, value):
        arrays[prefix + name] = value.detach().numpy()

    def linear(name, layer):
        put(f"{name}/kernel", layer.weight.T)
        put(f"{name}/bias", layer.bias)

    put("embedding/kernel", network.patch_embed.proj.weight.permute(2, 3, 1, 0))
    put("embedding/bias", network.patch_embed.proj.bias)
    put("pos_embedding" if prefix else "Transformer/posembed_input/pos_embedding",
        network.pos_embed)
    if network.cls_token is not None:
        put("cls", network.cls_token)
    for i, layer in enumerate(network.blocks):
        name = f"Transformer/{block.format(i)}"
        attention = f"{name}/MultiHeadDotProductAttention_{numbers[0]}"
        for part, weight, bias in zip(
                ("query", "key", "value"), layer.attn.qkv.weight.chunk(3),
                layer.attn.qkv.bias.chunk(3), strict=True):
            put(f"{attention}/{part}/kernel", weight.T.unflatten(1, (heads, -1)))
            put(f"{attention}/{part}/bias", bias.unflatten(0, (heads, -1)))
        put(f"{attention}/out/kernel", layer.attn.proj.weight.T.unflatten(0, (heads, -1)))
        put(f"{attention}/out/bias", layer.attn.proj.bias)
        linear(f"{name}/MlpBlock_{numbers[1]}/Dense_0", layer.mlp.fc1)
        linear(f"{name}/MlpBlock_{numbers[1]}/Dense_1", layer.mlp.fc2)
        for number, norm in ((0, layer.norm1), (numbers[2], layer.norm2)):
            put(f"{name}/LayerNorm_{number}/scale", norm.weight)
            put(f"{name}/LayerNorm_{number}/bias", norm.bias)
    put("Transformer/encoder_norm/scale", network.norm.weight)
    put("Transformer/encoder_norm/bias", network.norm.bias)
    np.savez(path, **arrays)


@pytest.mark.parametrize("model, layout", [
    ("vit_base_patch16_224", {}),
    ("vit_base_patch16_siglip_512", dict(prefix="params/img/", numbers=(0, 0, 1)))])
def test_a_jax_file_is_converted(model, layout, tmp_path):
    torch.manual_seed(0)
    sizes = dict(embed_dim=32, depth=2, num_heads=2)
    network = timm.create_model(model, img_size=48, num_classes=0, global_pool="", **sizes)
    write_jax(tmp_path / "official.npz", network, **layout)
    config = tmp_path / "config.py"
    backbone = dict(type="VisionFoundationModel", model=model, img_size=64, patch_size=16, **sizes)
    config.write_text(f"model = dict(backbone={backbone!r})")
    out = convert_backbone(str(tmp_path / "official.npz"), tmp_path / "out.pth", str(config))
    target = VisionFoundationModel(**{k: v for k, v in backbone.items() if k != "type"})
    expected = fit_backbone(network.state_dict(), target)
    found = ckpt.load_file(out)["state_dict"]
    assert all(torch.equal(found[name], expected[name]) for name in target.state_dict())
    with pytest.raises(UserError, match="a JAX file. Convert it with"):
        ckpt.load_file(tmp_path / "official.npz")
    (tmp_path / "bad.npz").write_bytes(b"no zip")
    with pytest.raises(UserError, match="cannot be read as a JAX file.*timm:") as error:
        convert_backbone(str(tmp_path / "bad.npz"), model=str(config))
    assert "\n" not in str(error.value)


def test_a_jax_file_of_another_family_is_refused(tmp_path):
    with pytest.raises(UserError, match="read for plain ViTs and SigLIP"):
        convert_backbone(str(tmp_path / "x.npz"), model="convnext_tiny")


def test_a_cached_file_is_used_without_network(monkeypatch, tmp_path):
    import huggingface_hub

    cached = {"model.safetensors": None, "open_clip_model.safetensors": "FILE"}
    monkeypatch.setattr(
        huggingface_hub, "try_to_load_from_cache", lambda repository, file: cached.get(file))
    assert find_source("hf:laion/CLIP") == "FILE"
    assert find_source("hf:laion/CLIP/open_clip_model.safetensors") == "FILE"
