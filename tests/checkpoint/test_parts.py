import pytest
import torch
from conftest import build

from rein import checkpoint as ckpt
from rein.errors import UserError
from rein.models.freezing import trained_state_dict


def test_merge_and_split_are_inverses_and_load_strictly(tiny_model, tiny_config):
    full = tiny_model.state_dict()
    parts = ckpt.split(full)
    assert parts.rein_and_head.keys() == trained_state_dict(tiny_model).keys()
    assert ckpt.merge(*parts).keys() == full.keys()
    twin = build(tiny_config)
    ckpt.load_strictly(twin, ckpt.merge(*parts), "merged")
    assert all(torch.equal(value, full[name]) for name, value in twin.state_dict().items())
    with pytest.raises(UserError, match="already complete"):
        ckpt.merge(parts.backbone, full)
