import torch
from torch import nn

from rein.models.freezing import count_parameters, freeze, frozen_names, trained_state_dict


def test_statistics_of_a_frozen_network_are_frozen_weights():
    frozen = freeze(nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, affine=False)))
    model = nn.ModuleDict(dict(backbone=frozen, head=nn.BatchNorm2d(4)))
    assert sorted(trained_state_dict(model)) == [
        "head.bias", "head.num_batches_tracked", "head.running_mean", "head.running_var",
        "head.weight"]
    assert frozen_names(model) == {
        f"backbone.{name}" for name in (
            "0.weight", "0.bias", "1.running_mean", "1.running_var", "1.num_batches_tracked")}


def test_counts_separate_trainable_from_all_parameters():
    model = nn.Sequential(freeze(nn.Linear(9, 1)), nn.Linear(9, 1))
    counts = count_parameters(model)
    assert counts == (10, 20) and "50.00 %" in str(counts)
    assert torch.is_tensor(trained_state_dict(model)["1.weight"])
