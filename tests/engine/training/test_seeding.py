"""Samples depend only on seed and position, even in resumed runs."""

import functools
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tiny_training import losses, training_config
from torch.utils.data import ConcatDataset

from rein.engine.training.run import train
from rein.engine.training.seeding import IterationSeedHook, SeededEpochSampler, SeededSampler
from rein.errors import UserError


def test_positions_continue_after_a_skip_and_interleave_across_processes():
    items = iter(SeededSampler(range(5), shuffle=True, seed=3))
    whole = [next(items) for _ in range(12)]
    skipped = SeededSampler(range(5), shuffle=True, seed=3)
    skipped.skip(7)
    rest = iter(skipped)
    assert [next(rest) for _ in range(5)] == whole[7:]
    assert [position for _, position in whole] == list(range(12))


def union(*sizes):
    return ConcatDataset([range(size) for size in sizes])


def test_weights_set_how_often_each_part_of_a_union_is_drawn():
    sampler = iter(SeededSampler(union(100, 10, 30), weights=[1, 1, 2], seed=3))
    drawn = np.array([next(sampler)[0] for _ in range(8000)])
    parts = np.searchsorted([100, 110], drawn, side="right")
    assert np.bincount(parts) / 8000 == pytest.approx([0.25, 0.25, 0.5], abs=0.02)
    for part, images in ((0, range(100)), (1, range(100, 110)), (2, range(110, 140))):
        whole = drawn[parts == part]
        once = whole[:len(images)]
        assert sorted(once) == list(images)  # each part is finished before it restarts
        assert (once != whole[len(images):2 * len(images)]).any()  # reshuffled


def test_a_weighted_stream_continues_after_a_skip_as_if_uninterrupted(monkeypatch):
    """Several processes also share one stream."""
    make = functools.partial(SeededSampler, union(7, 5), weights=[1, 3], seed=3)
    items = iter(make())
    whole = [next(items) for _ in range(3000)]
    skipped = make()
    skipped.skip(2500)
    rest = iter(skipped)
    assert [next(rest) for _ in range(500)] == whole[2500:]
    monkeypatch.setattr("mmengine.dataset.sampler.get_dist_info", lambda: (1, 2))
    second = iter(make())
    assert [next(second) for _ in range(1500)] == whole[1::2]


@pytest.mark.parametrize("weights", [[1], [1, -1], [0, 0]])
def test_weights_that_do_not_fit_are_rejected(weights):
    with pytest.raises(UserError, match="one for each of the 2 datasets"):
        SeededSampler(union(7, 5), weights=weights, seed=3)


def epoch_config(data, workers):
    """Configure three epochs of three iterations."""
    cfg = training_config(data, workers=workers)
    cfg.train_cfg = dict(by_epoch=True, max_epochs=3)
    cfg.train_dataloader.sampler = dict(type="DefaultSampler", shuffle=True)
    by_epoch = dict(type="CheckpointHook", by_epoch=True, interval=1, max_keep_ckpts=-1)
    cfg.custom_hooks = [by_epoch]
    return cfg


@pytest.mark.parametrize("start, done", [
    ("iter_4", 4), pytest.param("epoch_2", 6, marks=pytest.mark.faults)])
def test_a_run_of_epochs_resumes_exactly_within_and_between_epochs(data, tmp_path, start, done):
    train(epoch_config(data, 0), "run", str(tmp_path / "whole"))
    expected = losses(tmp_path / "whole")
    assert len(expected) == 9
    folder = tmp_path / start
    folder.mkdir()
    shutil.copy(tmp_path / f"whole/{start}.pth", folder)
    train(epoch_config(data, 1), "run", str(folder), resume="auto")
    assert losses(folder) == {i: loss for i, loss in expected.items() if i > done}


def test_positions_and_loss_points_do_not_repeat_in_the_next_epoch():
    sampler = SeededEpochSampler(range(5), shuffle=True, seed=3)
    first = list(sampler)
    sampler.set_epoch(1)
    assert {position for _, position in (*first, *sampler)} == set(range(10))
    draws = []
    for iteration in (0, 3):  # the first of two epochs
        IterationSeedHook().before_train_iter(SimpleNamespace(seed=1, iter=iteration), 0)
        draws.append(torch.rand(3))
    assert not torch.equal(*draws)
