"""The number of loader workers follows the machine; explicit numbers are kept."""

import pytest
import torch

from rein.engine.training import loaders, runner
from rein.engine.training.runner import ReinRunner
from rein.errors import UserError


def loader(**kwargs):
    dataset = dict(type="UrbanSceneDataset", domain="own", lazy_init=True, serialize_data=False)
    cfg = dict(batch_size=1, sampler=dict(type="DefaultSampler", shuffle=False), dataset=dataset)
    return ReinRunner.build_dataloader(cfg | kwargs)


@pytest.fixture(autouse=True)
def no_data(monkeypatch):
    monkeypatch.setattr(runner, "build_dataset", lambda cfg: [0, 1, 2])


@pytest.mark.parametrize("cores, processes, workers", [
    (1, 1, 1), (2, 1, 1), (6, 1, 5), (64, 1, 8), (16, 4, 3), (4, 8, 1)])
def test_auto_leaves_each_training_process_a_core(monkeypatch, cores, processes, workers):
    monkeypatch.setattr(loaders, "available_cores", lambda: cores)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(processes))
    made = loader(num_workers="auto", persistent_workers=True, pin_memory=True)
    assert made.num_workers == workers and made.persistent_workers
    assert made.pin_memory == torch.cuda.is_available()


def test_explicit_numbers_are_kept():
    assert loader(num_workers=4, prefetch_factor=5).prefetch_factor == 5
    none = loader(num_workers=0, persistent_workers=True, prefetch_factor=5)
    assert none.num_workers == 0 and not none.persistent_workers


@pytest.mark.parametrize("workers", ["many", -1, 1.5, None])
def test_any_other_value_is_rejected(workers):
    with pytest.raises(UserError, match="num_workers=.*expected a number"):
        loader(num_workers=workers)
