"""A test that goes on where a file is broken: what fails is named, and the others count."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from mmengine.dataset import pseudo_collate
from mmengine.registry import LOOPS
from mmengine.runner import TestLoop
from torch.utils.data import Dataset

from rein.datasets.urban import CorruptFile, build_dataset
from rein.evaluation.domain_iou import DGIoUMetric


class FailedSample(NamedTuple):
    """Stands where a sample would, if its image or label cannot be read."""

    domain: str
    path: str
    error: str


class SurvivingDataset(Dataset):
    """A dataset that gives a `FailedSample` instead of raising `CorruptFile`.

    Args:
        cfg: Config of the dataset.
    """

    def __init__(self, cfg: Mapping[str, Any]) -> None:
        self.dataset = build_dataset(cfg)

    def __getattr__(self, name):
        if name == "dataset":  # not there yet while a worker unpickles
            raise AttributeError(name)
        return getattr(self.dataset, name)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int):
        try:
            return self.dataset[index]
        except CorruptFile as error:
            return FailedSample(error.domain, error.path, str(error))


def collate_surviving(samples: Sequence) -> dict:
    """Collate a batch; samples that failed go to `failed`, and no `inputs` means all did."""
    failed = [sample for sample in samples if isinstance(sample, FailedSample)]
    whole = [sample for sample in samples if not isinstance(sample, FailedSample)]
    return {**(pseudo_collate(whole) if whole else {}), "failed": failed}


@LOOPS.register_module()
class SurvivingTestLoop(TestLoop):
    """mmengine's test loop, which hands what failed to the metric and goes on.

    With another metric than `DGIoUMetric` the first failure ends the test.
    """

    def __init__(self, runner, dataloader, evaluator, fp16: bool = False):
        if isinstance(dataloader, Mapping):
            dataloader = dict(dataloader, survive=True)
        super().__init__(runner, dataloader, evaluator, fp16)

    @torch.no_grad()
    def run_iter(self, idx: int, data_batch: dict) -> None:
        """Test one batch, less what failed."""
        for failed in data_batch.pop("failed", ()):
            metrics = self.evaluator.metrics
            if not all(isinstance(metric, DGIoUMetric) for metric in metrics):
                raise CorruptFile(failed.error)
            for metric in metrics:
                metric.fail(*failed)
        if data_batch:
            super().run_iter(idx, data_batch)
