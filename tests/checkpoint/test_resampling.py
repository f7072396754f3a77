"""Conversion resamples every released network once, as for the published adapters."""

import pytest
import torch
from conftest import dino, official

from rein import checkpoint as ckpt
from rein.checkpoint.families import BEIT, RADIO, SAM
from rein.errors import UserError
from rein.models import DinoVisionTransformer, VisionFoundationModel


def test_conversion_is_bicubic_without_antialiasing():
    source = official()
    converted = ckpt.convert_dinov2(source, (64, 96), 16)
    kernel = torch.nn.functional.interpolate(
        source["patch_embed.proj.weight"], size=(16, 16), mode="bicubic", align_corners=False)
    assert torch.equal(converted["patch_embed.proj.weight"], kernel)
    grid = source["pos_embed"][:, 1:].reshape(1, 5, 5, 32).permute(0, 3, 1, 2)
    grid = torch.nn.functional.interpolate(
        grid, size=(4, 6), mode="bicubic", align_corners=False)
    assert torch.equal(converted["pos_embed"][:, 1:], grid.flatten(2).transpose(1, 2))
    assert torch.equal(converted["pos_embed"][:, :1], source["pos_embed"][:, :1])
    unchanged = source.keys() - {"patch_embed.proj.weight", "pos_embed"}
    assert all(converted[name] is source[name] for name in unchanged)
    dino(img_size=(64, 96)).load_pretrained(converted, "converted")


def test_conversion_to_the_same_size_changes_nothing():
    source = official()
    for name, value in ckpt.convert_dinov2(source, (70, 70), 14).items():
        assert torch.equal(value, source[name])


@pytest.mark.parametrize("sizes, found", [
    (((-512, 512), 16), "img_size=-512"), (((512, 512), 0), "patch_size=0")])
def test_sizes_below_1_are_refused(sizes, found):
    with pytest.raises(UserError, match=f"{found}; expected a whole number from 1"):
        ckpt.convert_dinov2(official(), *sizes)


def test_a_converted_file_is_not_converted_again():
    converted = ckpt.convert_dinov2(official(), (64, 64), 16)
    with pytest.raises(UserError, match="already converted, to patch size 16"):
        ckpt.convert_dinov2(converted, (128, 128), 16)


@pytest.mark.parametrize("width, depth, heads, feed_forward", [
    (384, 12, 6, "mlp"), (768, 12, 12, "mlp"), (1024, 24, 16, "mlp"), (1536, 40, 24, "swiglufused"),
])
@pytest.mark.parametrize("registers", [0, 4])
def test_every_released_network_converts_to_non_square_sizes(
        width, depth, heads, feed_forward, registers):
    arguments = dict(embed_dim=width, depth=depth, num_heads=heads, ffn_layer=feed_forward,
                     num_register_tokens=registers)
    with torch.device("meta"):
        released = DinoVisionTransformer(img_size=518, patch_size=14, **arguments).state_dict()
        model = DinoVisionTransformer(img_size=(512, 1024), patch_size=16, **arguments)
    assert released["pos_embed"].shape == (1, 1 + 37 * 37, width)
    found = ckpt.identify(released)
    assert found.kind is ckpt.Kind.ORIGINAL
    assert (found.backbone.width, found.backbone.depth, found.backbone.registers) == (
        width, depth, registers)
    assert found.backbone.gated == (feed_forward == "swiglufused")
    converted = ckpt.convert_dinov2(released, (512, 1024), 16)
    assert ckpt.identify(converted).kind is ckpt.Kind.CONVERTED
    ckpt.check_fits(model.state_dict(), converted, "converted")


def test_sams_relative_positions_are_resampled_as_sam_does():
    from timm.models.vision_transformer_sam import get_rel_pos

    table = torch.randn(127, 8)
    fitted = ckpt.fit({"blocks.1.attn.rel_pos_h": table},
                      {"blocks.1.attn.rel_pos_h": torch.empty(63, 8)}, (32, 32), SAM)
    found = fitted["blocks.1.attn.rel_pos_h"]
    torch.testing.assert_close(get_rel_pos(32, 32, found), get_rel_pos(32, 32, table))


def test_radios_positions_are_cut_from_a_square_as_radio_does():
    from timm.models.vision_transformer import _convert_radio

    backbone = VisionFoundationModel(
        "vit_base_patch16_radio_v3", embed_dim=32, depth=1, num_heads=2, img_size=(64, 128))
    positions = torch.randn(1, 256, 32)
    expected = _convert_radio(
        {"radio_model.model.patch_generator.pos_embed": positions}, backbone.model)["pos_embed"]
    found = ckpt.fit({"pos_embed": positions}, {"pos_embed": expected}, (4, 8), RADIO)["pos_embed"]
    torch.testing.assert_close(found, expected)


def test_a_table_of_relative_biases_keeps_the_class_tokens_entries():
    name = "blocks.0.attn.relative_position_bias_table"
    table = torch.randn(13 * 13 + 3, 2)
    found = ckpt.fit({name: table}, {name: torch.empty(7 * 15 + 3, 2)}, (4, 8), BEIT)[name]
    assert torch.equal(found[-3:], table[-3:])
    image = table[:-3].T.reshape(1, 2, 13, 13)
    image = torch.nn.functional.interpolate(image, (7, 15), mode="bicubic", align_corners=False)
    torch.testing.assert_close(found[:-3], image[0].flatten(1).T)
