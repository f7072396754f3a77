"""Make randomness a function of (seed, iteration), so that resumed runs match uninterrupted ones.

Otherwise a resumed run would draw different crops and loss points than an uninterrupted one, and
crops would depend on the number of workers.
"""

import random
from collections.abc import Iterator, Sequence, Sized

import numpy as np
import torch
from mmengine.dataset import DefaultSampler, InfiniteSampler
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import EpochBasedTrainLoop

from rein.datasets.building import build_dataset
from rein.datasets.wrappers import DatasetAround
from rein.errors import UserError


def seed_everything(*entropy: int) -> None:
    """Seed Python's, NumPy's and torch's generators from several integers."""
    state = np.random.SeedSequence([int(value) for value in entropy]).generate_state(3)
    random.seed(int(state[0]))
    np.random.seed(int(state[1]))
    torch.manual_seed(int(state[2]))


class SeededDataset(DatasetAround):
    """A dataset whose augmentation depends only on (seed, position in the stream).

    Args:
        cfg: Config of the dataset; its transforms use the global random generators.
        seed: Seed of the run.
    """

    def __init__(self, cfg: dict, seed: int) -> None:
        super().__init__(build_dataset(cfg))
        self.seed = seed

    def __getitem__(self, item: tuple[int, int]):
        index, position = item
        seed_everything(self.seed, position)
        return self.dataset[index]


class SeededSampler(InfiniteSampler):
    """mmengine's infinite sampler, yielding (index, position in the global stream).

    Args:
        dataset (Sized): The dataset; a ConcatDataset if weights are given.
        weights (Sequence[float], optional): Relative sampling frequency of each part of the
            ConcatDataset. Each part is visited completely in its own order, then reshuffled.
            None: all images are equally frequent.
        **kwargs: As in `mmengine.dataset.InfiniteSampler`: shuffle, seed.

    Raises:
        UserError: The number of weights differs from the number of parts, a weight is negative, or
            all are zero.
    """

    skipped = 0

    def __init__(self, dataset: Sized, weights: Sequence[float] | None = None, **kwargs) -> None:
        super().__init__(dataset, **kwargs)
        self.weights = weights
        if weights is not None:
            self.ends = getattr(dataset, "cumulative_sizes", [len(dataset)])
            if len(self.ends) != len(weights) or min(weights) < 0 or not any(weights):
                raise UserError(
                    f"train_dataloader.sampler: weights {list(weights)}; expected one for each of "
                    f"the {len(self.ends)} datasets, none negative and not all 0.")

    def _infinite_indices(self) -> Iterator[int]:
        """Draw the common stream of all processes, which depends only on the seed."""
        if self.weights is None:
            yield from super()._infinite_indices()
            return
        parts = [
            self._indices_of_part(start, end, number)
            for number, (start, end) in enumerate(zip([0, *self.ends], self.ends, strict=False))]
        generator = torch.Generator().manual_seed(self.seed)
        weights = torch.tensor(self.weights, dtype=torch.float64)
        while True:
            for part in torch.multinomial(weights, 1024, True, generator=generator).tolist():
                yield next(parts[part])

    def _indices_of_part(self, start: int, end: int, number: int) -> Iterator[int]:
        """Yield the indices of one part endlessly, in a new order each time around."""
        generator = torch.Generator().manual_seed(self.seed + 1 + number)
        while True:
            order = (torch.randperm(end - start, generator=generator) if self.shuffle
                     else torch.arange(end - start))
            yield from (order + start).tolist()

    def __iter__(self) -> Iterator[tuple[int, int]]:
        for i, index in enumerate(super().__iter__(), start=self.skipped):
            yield index, i * self.world_size + self.rank

    def skip(self, num_samples: int) -> None:
        """Skip the first `num_samples` of this process without loading them."""
        super().skip(num_samples)
        self.skipped = num_samples


class SeededEpochSampler(DefaultSampler):
    """mmengine's sampler of epochs, yielding (index, position in the stream of all epochs).

    Attributes:
        start: Samples of the current epoch and process that are passed over.
    """

    start = 0

    def __iter__(self) -> Iterator[tuple[int, int]]:
        before = self.epoch * self.total_size
        for i, index in enumerate(super().__iter__()):
            if i >= self.start:
                yield index, before + i * self.world_size + self.rank


SEEDED_SAMPLERS = {"InfiniteSampler": SeededSampler, "DefaultSampler": SeededEpochSampler}
"""Sampler of a training config -> the same with positions, for `SeededDataset`."""


class ExactEpochLoop(EpochBasedTrainLoop):
    """mmengine's loop; a run resumed within an epoch continues with the rest of its data."""

    def run_epoch(self) -> None:
        """Iterate over the rest of the epoch."""
        runner, loader = self.runner, self.dataloader
        runner.call_hook("before_train_epoch")
        runner.model.train()
        done = self._iter - self._epoch * len(loader)
        loader.sampler.start = done * loader.batch_size
        for idx, data_batch in enumerate(loader, start=done):
            self.run_iter(idx, data_batch)
        loader.sampler.start = 0
        runner.call_hook("after_train_epoch")
        self._epoch += 1


@HOOKS.register_module()
class IterationSeedHook(Hook):
    """Seed the model's random draws (loss points, dropout) by (seed, iteration, process)."""

    priority = "VERY_HIGH"

    def before_train_iter(self, runner, batch_idx: int, data_batch=None) -> None:
        """Seed after loading the batch, before the forward pass."""
        # batch_idx starts again in each epoch
        seed_everything(runner.seed, runner.iter, get_rank())
