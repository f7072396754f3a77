from conftest import build
from tiny_rein import batch

from rein.models.freezing import trained_state_dict


def test_frozen_baseline_trains_and_saves_the_head_alone(tiny_config):
    tiny_config.type = "FrozenBackboneEncoderDecoder"
    tiny_config.backbone.type = "DinoVisionTransformer"
    tiny_config.backbone.pop("reins_config")
    tiny_config.decode_head.update(linked_queries=False, replace_query_feat=False)
    model = build(tiny_config).train()
    assert not model.backbone.training
    assert all(name.startswith("decode_head.") for name in trained_state_dict(model))
    sum(model(*batch(), mode="loss").values()).backward()
    assert all(p.grad is None for p in model.backbone.parameters())
