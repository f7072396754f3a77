"""Dataset wrappers: a base class, and iteration over the datasets inside wrappers."""

from collections.abc import Iterator
from typing import Any

from torch.utils.data import Dataset


class DatasetAround(Dataset):
    """A dataset that wraps another and exposes its attributes.

    Args:
        dataset: The wrapped dataset.
    """

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __getattr__(self, name):
        if name == "dataset":  # not set yet while a worker unpickles
            raise AttributeError(name)
        return getattr(self.dataset, name)

    def __len__(self) -> int:
        return len(self.dataset)


def datasets_inside(dataset: Any) -> Iterator[Any]:
    """Yield the datasets inside wrappers (ConcatDataset, RepeatDataset, ...) at any depth."""
    inner = getattr(dataset, "datasets", None)
    if inner is None and hasattr(dataset, "dataset"):
        inner = [dataset.dataset]
    if inner is not None:
        for part in inner:
            yield from datasets_inside(part)
    elif hasattr(dataset, "pipeline"):
        yield dataset
