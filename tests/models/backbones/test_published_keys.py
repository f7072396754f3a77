import torch
from tiny_backbone import SMALL, rein_backbone

from rein.models import DinoVisionTransformer


def test_state_dict_has_dinov2s_names_and_loads_back():
    backbone = rein_backbone()
    state = backbone.state_dict()
    assert {"cls_token", "pos_embed", "blocks.3.mlp.fc2.bias", "norm.weight"} <= state.keys()
    assert not any(name.startswith("model.") for name in state)
    twin = rein_backbone()
    torch.nn.init.normal_(twin.model.cls_token)
    twin.load_state_dict({**state, "mask_token": torch.zeros(1, 32)}, strict=True)
    assert torch.equal(twin.model.cls_token, backbone.model.cls_token)


def test_registers_keep_dinov2s_format():
    plain = DinoVisionTransformer(**SMALL, num_register_tokens=4)
    state = plain.state_dict()
    assert state["register_tokens"].shape == (1, 4, 32)
    assert state["pos_embed"].shape == (1, 17, 32)
    # DINOv2 adds the class token's position, timm keeps it in the token; results are equal
    state["pos_embed"][:, 0] = 0.5
    image = torch.randn(1, 3, 64, 64)
    shifted = DinoVisionTransformer(**SMALL, num_register_tokens=4)
    shifted.load_state_dict(state)
    again = DinoVisionTransformer(**SMALL, num_register_tokens=4)
    again.load_state_dict(shifted.state_dict())
    torch.testing.assert_close(shifted.model.cls_token, plain.model.cls_token + 0.5)
    assert torch.equal(shifted(image)[3], again(image)[3])


def test_gated_feed_forward_has_dinov2s_names():
    state = DinoVisionTransformer(**SMALL, ffn_layer="swiglufused").state_dict()
    assert {"blocks.0.mlp.w12.weight", "blocks.0.mlp.w3.weight"} <= state.keys()
