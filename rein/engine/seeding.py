"""Randomness as a function of (seed, iteration): a resumed run sees what it would have seen.

Without this, a resumed run draws other crops and other loss points than an uninterrupted one, and
the crops depend on the number of workers.
"""

import random
from collections.abc import Iterator, Sequence, Sized

import numpy as np
import torch
from mmengine.dataset import InfiniteSampler
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

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
    """A dataset whose augmentation depends on (seed, position in the stream) alone.

    Args:
        cfg: Config of the dataset; its transforms draw from the global generators.
        seed: The run's seed.
    """

    def __init__(self, cfg: dict, seed: int) -> None:
        super().__init__(build_dataset(cfg))
        self.seed = seed

    def __getitem__(self, item: tuple[int, int]):
        index, position = item
        seed_everything(self.seed, position)
        return self.dataset[index]


class SeededSampler(InfiniteSampler):
    """mmengine's infinite sampler, numbered: yields (index, position in the global stream).

    Args:
        dataset (Sized): The dataset; with weights a ConcatDataset.
        weights (Sequence[float], optional): How often each part of the ConcatDataset is drawn from,
            in relation to the others. Each part is gone through in an order of its own, shuffled
            anew each time. None: every image as often as any other.
        **kwargs: As `mmengine.dataset.InfiniteSampler`: shuffle, seed.

    Raises:
        UserError: There is not one weight for each part, or one is below zero, or all are zero.
    """

    skipped = 0

    def __init__(self, dataset: Sized, weights: Sequence[float] | None = None, **kwargs) -> None:
        super().__init__(dataset, **kwargs)
        self.weights = weights
        if weights is not None:
            self.ends = getattr(dataset, "cumulative_sizes", [len(dataset)])
            if len(self.ends) != len(weights) or min(weights) < 0 or not any(weights):
                raise UserError(
                    f"train_dataloader.sampler: weights {list(weights)}, but one for each of the "
                    f"{len(self.ends)} datasets is expected, none below 0 and not all 0.")

    def _infinite_indices(self) -> Iterator[int]:
        """Draw the stream of all processes, which depends on the seed alone."""
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
        """Go through one part's indices for ever."""
        generator = torch.Generator().manual_seed(self.seed + 1 + number)
        while True:
            order = (torch.randperm(end - start, generator=generator) if self.shuffle
                     else torch.arange(end - start))
            yield from (order + start).tolist()

    def __iter__(self) -> Iterator[tuple[int, int]]:
        for i, index in enumerate(super().__iter__(), start=self.skipped):
            yield index, i * self.world_size + self.rank

    def skip(self, num_samples: int) -> None:
        """Continue after the first `num_samples` of this process, without loading them."""
        super().skip(num_samples)
        self.skipped = num_samples


@HOOKS.register_module()
class IterationSeedHook(Hook):
    """Seeds the model's random draws (loss points, dropout) from (seed, iteration, process)."""

    priority = "VERY_HIGH"

    def before_train_iter(self, runner, batch_idx: int, data_batch=None) -> None:
        """Seed before the forward pass, after the batch was loaded."""
        seed_everything(runner.seed, batch_idx, get_rank())
