import pytest
from tiny_backbone import ADAPTER, SMALL

from rein.models import DinoVisionTransformer, ReinsDinoVisionTransformer
from rein.models.freezing import count_parameters


def test_dinov2_trains_wholly_and_with_rein_the_adapter_alone():
    plain = count_parameters(DinoVisionTransformer(**SMALL))
    assert plain.trainable == plain.total
    rein = ReinsDinoVisionTransformer(ADAPTER, **SMALL)
    adapter = sum(p.numel() for p in rein.reins.parameters())
    norm = 2 * SMALL["embed_dim"]  # no parameter of the plain one: nothing uses the final norm
    assert count_parameters(rein) == (adapter, plain.total + norm + adapter)


@pytest.mark.parametrize("given, message", [
    (dict(ffn_bias=False), "ffn_bias=False"), (dict(block_chunks=4), "block_chunks=4"),
    (dict(ffn_layer="moe"), "'moe' is unknown; known: mlp"),
])
def test_networks_other_than_the_released_ones_raise(given, message):
    with pytest.raises(ValueError, match=message):
        DinoVisionTransformer(**SMALL, **given)


def test_gated_layers_have_two_thirds_of_the_width():
    arguments = SMALL | dict(embed_dim=48, ffn_layer="swiglufused")
    mlp = DinoVisionTransformer(**arguments).model.blocks[0].mlp
    assert mlp.fc2.in_features == 48 * 4 * 2 // 3
    assert mlp.fc1.out_features == 2 * mlp.fc2.in_features
