"""Distilling: it learns, repeats, resumes, and decays when told."""

import dataclasses

import numpy as np
import pytest
import timm
import torch

from toy.pretraining import distill
from toy.pretraining.distill import Distiller, Recipe, Targets, sample_box
from toy.pretraining.student import build_encoder
from toy.pretraining.views import View, find_pairs
from toy.streets.make import make_toy_streets

RECIPE = Recipe(steps=3, warmup=1, batch=1, dims=8, save_every=2)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    root = tmp_path_factory.mktemp("streets")
    make_toy_streets(root, {"unlabelled": 2}, 7, 1)
    return find_pairs(root / "unlabelled")


@pytest.fixture
def make(pairs, monkeypatch):
    """Return a function that makes a small distiller with a random teacher."""
    monkeypatch.setattr(distill, "SUPERVISED", {0: 0.5, 1: 1.0})
    torch.manual_seed(1)
    teacher = timm.create_model("tf_efficientnet_lite0").eval()

    def make(**changes):
        torch.manual_seed(2)
        return Distiller(teacher, pairs, dataclasses.replace(RECIPE, **changes),
                         build_encoder(32, 2, 2))
    return make


def test_it_learns(make):
    distiller = make(steps=12, batch=2)
    distiller.run(lambda line: None)
    losses = [p.loss for p in distiller.record]
    assert np.mean(losses[-3:]) < np.mean(losses[:3])


def test_a_resumed_run_equals_an_unbroken_one(make, tmp_path):
    whole = make().run(lambda line: None)
    first, lines = make(), []
    first.recipe = dataclasses.replace(RECIPE, steps=2, decay=0)  # stopped before the decay
    first.run(lines.append, lambda: first.save(tmp_path / "state.pth"))
    assert lines and lines[-1].startswith("step 2  loss")
    again = make()
    again.load(tmp_path / "state.pth")
    assert again.step == 2
    resumed = again.run(lambda line: None)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_the_rate_warms_up_stays_and_decays(make):
    distiller = make(steps=100, warmup=10, decay=0.2)
    assert distiller.rate(0) == 0.1 and distiller.rate(50) == distiller.rate(79) == 1
    assert distiller.rate(90) == pytest.approx(0.5) and distiller.rate(100) == 0


def test_targets_are_centred_components_of_equal_maps():
    torch.manual_seed(0)
    samples = torch.randn(500, 6) * torch.tensor([5, 1, 1, 1, 1, 0.1]) + 3
    targets = Targets(6, 3)
    targets.fit(samples, [1, 5])
    found = targets(samples)
    assert found.mean(0).abs().max() < 0.05
    covariance = torch.cov(found.T)
    assert (covariance - covariance.diag().diag()).abs().max() < 0.1
    first = torch.corrcoef(torch.stack((found[:, 0], samples[:, 0])))[0, 1]
    assert first.abs() > 0.95  # one channel of its own map outweighs five of another


def test_features_are_read_where_the_view_lies():
    x = torch.arange(16.)[None, None, None].expand(1, 1, 8, 16)  # each column's number
    box = (0.25, 0, 0.75, 1)
    plain, mirrored = (
        sample_box(x, View(torch.zeros(3, 1, 1), box, flip), 4)[0, 0] for flip in (False, True))
    assert plain[0].tolist() == [4.5, 6.5, 8.5, 10.5]
    assert torch.equal(mirrored, plain.flip(1))
