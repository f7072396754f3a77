"""IoU in each target domain, and the mean over them.

Sources: mmseg's IoUMetric for the measures and their names; the domain is each sample's metadata.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from mmseg.registry import METRICS
from PIL import Image
from torch import Tensor

from rein.datasets.label_maps import IGNORE_INDEX
from rein.datasets.urban import SampleError
from rein.errors import UserError
from rein.evaluation.pictures import save_png
from rein.evaluation.report import DomainResults, text_table, write_markdown, write_results_json


def confusion_matrix(
    prediction: Tensor, truth: Tensor, num_classes: int, ignore_index: int = IGNORE_INDEX,
) -> np.ndarray:
    """Count the pixels of each pair of true and predicted class.

    Args:
        prediction: Classes (H, W), integers in [0, num_classes).
        truth: Classes (H, W), integers in [0, num_classes) or `ignore_index`.
        num_classes: Number of classes C.
        ignore_index: The label of pixels that do not count.

    Returns:
        int64 (C, C), [true class, predicted class].

    Raises:
        ValueError: The sizes differ, or a value is out of range.
    """
    if prediction.shape != truth.shape:
        raise ValueError(
            f"the prediction is {tuple(prediction.shape)}, but the label {tuple(truth.shape)} "
            "(height, width); a label must have its image file's size")
    truth, prediction = truth.to(prediction.device, torch.int64), prediction.to(torch.int64)
    if prediction.max() >= num_classes:
        raise ValueError(f"class {prediction.max()} predicted, but there are {num_classes}")
    # One count over all labels and no mask: what is ignored or wrong gets rows of its own.
    rows = max(num_classes, ignore_index + 1, int(truth.max()) + 1)
    counts = torch.bincount(
        (truth * num_classes + prediction).flatten(), minlength=rows * num_classes)
    counts = counts.reshape(-1, num_classes).cpu().numpy()
    if ignore_index >= 0:
        counts[ignore_index] = 0
    wrong = np.flatnonzero(counts[num_classes:].any(1)) + num_classes
    if len(wrong):
        raise ValueError(
            f"label values {', '.join(map(str, wrong))}, but 0-{num_classes - 1} and "
            f"{ignore_index} (ignored) are expected; convert the labels to trainIds")
    return counts[:num_classes]


@METRICS.register_module()
class DGIoUMetric(BaseMetric):
    """IoU per domain and the mean over domains, in percent.

    Returns `<domain>_mIoU`, `<domain>_mAcc`, `<domain>_aAcc` for each domain and `mean_mIoU`,
    rounded to two decimals. `results_table` keeps the last results at full precision.

    Args:
        dataset_keys (Sequence[str], optional): The domains to report, in this order; samples of
            others do not count. None: all that occur, in order of occurrence.
        mean_used_keys (Sequence[str], optional): The domains in the mean. None: all reported.
        iou_metrics (Sequence[str]): ["mIoU"], the only one there is.
        ignore_index (int): The label of pixels that do not count.
        protocol (str): Name of the way the images are prepared; stands on the table.
        out_file (str, optional): JSON to write the results to, and beside it the table as .md.
        output_dir (str, optional): Folder for the predictions, <domain>/<image name>.png holding
            trainIds.
        format_only (bool): Write predictions only; no labels are needed.
        **kwargs: As `mmengine.evaluator.BaseMetric`.
    """

    default_prefix = ""

    def __init__(
        self, dataset_keys: Sequence[str] | None = None,
        mean_used_keys: Sequence[str] | None = None, iou_metrics: Sequence[str] = ("mIoU",),
        ignore_index: int = IGNORE_INDEX, protocol: str = "", out_file: str | None = None,
        output_dir: str | None = None, format_only: bool = False, **kwargs,
    ):
        super().__init__(**kwargs)
        if list(iou_metrics) != ["mIoU"]:
            raise UserError(f"DGIoUMetric: iou_metrics is {list(iou_metrics)}, but only ['mIoU'].")
        if dataset_keys and not {*(mean_used_keys or ())} <= {*dataset_keys}:
            raise UserError(
                f"DGIoUMetric: mean_used_keys {list(mean_used_keys)} are not all in dataset_keys "
                f"{list(dataset_keys)}.")
        if format_only and not output_dir:
            raise UserError("DGIoUMetric: format_only needs an output_dir to write to.")
        self.dataset_keys = dataset_keys and tuple(dataset_keys)
        self.mean_used_keys = mean_used_keys and tuple(mean_used_keys)
        self.ignore_index = ignore_index
        self.protocol = protocol
        self.out_file = out_file
        self.output_dir = output_dir
        self.format_only = format_only
        self.results_table: DomainResults | None = None

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Count one batch.

        Args:
            data_batch (dict): Not used.
            data_samples (Sequence[dict]): Samples with `pred_sem_seg` (1, H, W), `gt_sem_seg`
                (1, H, W), `domain` and `img_path`.
        """
        num_classes = len(self.dataset_meta["classes"])
        for sample in data_samples:
            if "domain" not in sample:
                raise UserError(
                    f"{sample.get('img_path')}: the sample has no domain. Use UrbanSceneDataset, "
                    "or call rein.datasets.urban.stamp_domains on the dataset.")
            prediction = sample["pred_sem_seg"]["data"].squeeze(0)
            if self.output_dir:
                self._save(prediction, sample)
            if self.format_only:
                continue
            if "gt_sem_seg" not in sample:
                raise UserError(
                    f"{sample.get('img_path')}: no label to compare with. For predictions alone "
                    "set format_only=True and output_dir in the evaluator.")
            truth = sample["gt_sem_seg"]["data"].squeeze(0)
            try:
                counts = confusion_matrix(prediction, truth, num_classes, self.ignore_index)
            except ValueError as error:
                raise SampleError(f"{sample.get('seg_map_path')}: {error}") from error
            self.results.append((sample["domain"], counts))

    def _save(self, prediction: Tensor, sample: dict) -> None:
        path = Path(self.output_dir, sample["domain"], f"{Path(sample['img_path']).stem}.png")
        save_png(Image.fromarray(prediction.cpu().numpy().astype(np.uint8)), path)

    def compute_metrics(self, results: list[tuple[str, np.ndarray]]) -> dict[str, float]:
        """Sum up what `process` counted, print the table and write the files asked for.

        Args:
            results: (domain, confusion (C, C)) of every sample.
        """
        if self.format_only:
            print_log(f"predictions are in {self.output_dir}", logger="current")
            return {}
        self.results_table = table = self._summarize(results)
        print_log("\n" + text_table(table), logger="current")
        if self.out_file:
            markdown = Path(self.out_file).with_suffix(".md")
            write_results_json(table, self.out_file)
            write_markdown(table, markdown)
            print_log(f"results are in {self.out_file} and {markdown}", logger="current")
        metrics = {}
        for i, domain in enumerate(table.domains):
            metrics[f"{domain}_mIoU"] = table.miou[i]
            metrics[f"{domain}_mAcc"] = table.macc[i]
            metrics[f"{domain}_aAcc"] = table.aacc[i]
        metrics["mean_mIoU"] = table.mean(table.miou)
        return {key: round(float(value), 2) for key, value in metrics.items()}

    def _summarize(self, results: list[tuple[str, np.ndarray]]) -> DomainResults:
        found: dict[str, np.ndarray] = {}
        for domain, counts in results:
            found[domain] = found[domain] + counts if domain in found else counts
        domains = tuple(key for key in self.dataset_keys or found if key in found)
        mean_domains = tuple(key for key in domains if key in (self.mean_used_keys or domains))
        if not mean_domains:
            raise UserError(
                f"DGIoUMetric: samples are of the domains {list(found)}, and none is in "
                f"{list(self.mean_used_keys or self.dataset_keys or ())}. Correct dataset_keys or "
                "the datasets' `domain`.")
        absent = {*(self.dataset_keys or ()), *(self.mean_used_keys or ())} - {*found}
        uncounted = {*found} - {*domains}
        for names, what in ((absent, "has no sample"), (uncounted, "is not in dataset_keys")):
            for name in sorted(names):
                print_log(
                    f"domain {name} {what} and does not count", "current", logging.WARNING)
        classes = tuple(self.dataset_meta["classes"])
        confusion = np.stack([found[name] for name in domains])
        return DomainResults(domains, classes, confusion, mean_domains, self.protocol)
