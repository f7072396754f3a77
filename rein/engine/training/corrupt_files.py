"""Continue a test or validation past broken files: name them and evaluate the others."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from mmengine.dataset import pseudo_collate
from mmengine.logging import print_log
from mmengine.registry import LOOPS
from mmengine.runner import TestLoop, ValLoop

from rein.datasets.building import build_dataset
from rein.datasets.image_files import is_cut_short
from rein.datasets.image_folders import image_folders
from rein.datasets.sample_checks import CorruptFile
from rein.datasets.wrappers import DatasetAround
from rein.engine.training.sharding import ShardedBackbone
from rein.evaluation.domain_iou import DGIoUMetric


class FailedSample(NamedTuple):
    """Replaces a sample whose image or label cannot be read."""

    domain: str
    path: str
    error: str


class SurvivingDataset(DatasetAround):
    """A dataset that returns a `FailedSample` for a corrupt file instead of raising.

    Args:
        cfg: Config of the dataset.
    """

    def __init__(self, cfg: Mapping[str, Any]) -> None:
        super().__init__(build_dataset(cfg))

    def __getitem__(self, index: int):
        try:
            sample = self.dataset[index]
        except CorruptFile as error:
            return FailedSample(error.domain, error.path, str(error))
        packed = sample["data_samples"]
        meta = (packed[0] if isinstance(packed, list) else packed).metainfo  # TTA packs a list
        for key in ("img_path", "seg_map_path"):
            if meta.get(key) and is_cut_short(meta[key]):
                error = f"{meta[key]}: the file is truncated. Copy or download it again."
                return FailedSample(meta["domain"], meta["img_path"], error)
        return sample


def collate_surviving(samples: Sequence) -> dict:
    """Collate a batch; failed samples go to `failed`, by place. If all did, `inputs` is missing."""
    failed = {i: sample for i, sample in enumerate(samples) if isinstance(sample, FailedSample)}
    whole = [sample for sample in samples if not isinstance(sample, FailedSample)]
    return {**(pseudo_collate(whole) if whole else {}), "failed": failed}


class _Surviving:
    """Base of loops that pass failed samples to the metric and go on."""

    def __init__(self, runner, dataloader, evaluator, fp16: bool = False):
        if isinstance(dataloader, Mapping):
            dataloader = dict(dataloader, survive=True)
        super().__init__(runner, dataloader, evaluator, fp16)
        folders = image_folders(self.dataloader.dataset)
        for metric in self.evaluator.metrics:
            if isinstance(metric, DGIoUMetric):
                metric.folders = folders

    @torch.no_grad()
    def run_iter(self, idx: int, data_batch: dict) -> None:
        """Run one batch without its failed samples, which keep their places among the results."""
        failed, metrics = data_batch.pop("failed", {}), self.evaluator.metrics
        takes_failures = all(isinstance(metric, DGIoUMetric) for metric in metrics)
        if failed and not takes_failures:
            self.report(failed.values())
        starts = [len(metric.results) for metric in metrics]
        if data_batch:
            super().run_iter(idx, data_batch)
        for metric, start in zip(metrics, starts, strict=True) if takes_failures else ():
            for place, sample in failed.items():
                metric.fail(*sample)
                # keep the order: mmengine drops the last results, which fill up a process's share
                metric.results.insert(start + place, metric.results.pop())
        if idx + 1 == len(self.dataloader) and isinstance(self.runner.model, ShardedBackbone):
            self.runner.model.wait_for_others()

    def report(self, failed: Iterable[FailedSample]) -> None:
        """Report failed samples that the metrics do not take."""
        raise NotImplementedError


@LOOPS.register_module()
class SurvivingTestLoop(_Surviving, TestLoop):
    """mmengine's test loop, passing failed samples to the metric and going on.

    With metrics other than `DGIoUMetric`, the first failure ends the test.
    """

    def report(self, failed: Iterable[FailedSample]) -> None:
        """Raise for the first one."""
        raise CorruptFile(next(iter(failed)).error)


@LOOPS.register_module()
class SurvivingValLoop(_Surviving, ValLoop):
    """mmengine's validation loop, going on past failed samples, so that training continues.

    `DGIoUMetric` names them in its report; with other metrics, each gets a warning in the log.
    """

    def report(self, failed: Iterable[FailedSample]) -> None:
        """Log each one."""
        for one in failed:
            print_log(f"excluded from validation: {one.error}", "current", logging.WARNING)
