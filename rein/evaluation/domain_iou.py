"""IoU of each target domain, and the mean over the domains.

Sources: mmseg's IoUMetric for the measures and their names. Each sample's metadata has the domain.
"""

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from mmseg.registry import METRICS
from PIL import Image
from torch import Tensor

from rein.datasets.image_folders import ImageFolders, image_name
from rein.datasets.label_maps import IGNORE_INDEX
from rein.datasets.sample_checks import SampleError
from rein.errors import UserError
from rein.evaluation.confidence import reliability_bins
from rein.evaluation.pictures import example_strip, save_png
from rein.evaluation.report import failures_text, reliability_text, text_table
from rein.evaluation.results import DomainResults, ImageResult, image_miou, reliability_of
from rein.evaluation.seen_images import seen_image


def confusion_matrix(
    prediction: Tensor, truth: Tensor, num_classes: int, ignore_index: int = IGNORE_INDEX,
) -> np.ndarray:
    """Count the pixels of each (true class, predicted class) pair.

    Args:
        prediction: Classes (H, W), integers in [0, num_classes).
        truth: Classes (H, W), integers in [0, num_classes) or `ignore_index`.
        num_classes: Number of classes C.
        ignore_index: Label of the ignored pixels.

    Returns:
        int64 (C, C), [true class, predicted class].

    Raises:
        ValueError: The sizes differ, or a value is out of range.
    """
    if prediction.shape != truth.shape:
        raise ValueError(
            f"the prediction is {tuple(prediction.shape)}, but the label {tuple(truth.shape)} "
            "(height, width); a label must have the size of its image file")
    truth, prediction = truth.to(prediction.device, torch.int64), prediction.to(torch.int64)
    if prediction.max() >= num_classes:
        raise ValueError(
            f"class {prediction.max()} predicted, but there are only {num_classes} classes")
    # Count all labels at once, without a mask: ignored and invalid labels get their own rows.
    index = torch.add(prediction, truth, alpha=num_classes)  # one pass, no intermediate product
    rows = max(num_classes, ignore_index + 1)
    counts = torch.bincount(index.flatten(), minlength=rows * num_classes)
    counts = torch.nn.functional.pad(counts, (0, -len(counts) % num_classes))
    counts = counts.reshape(-1, num_classes).cpu().numpy()
    if ignore_index >= 0:
        counts[ignore_index] = 0
    wrong = np.flatnonzero(counts[num_classes:].any(1)) + num_classes
    if len(wrong):
        raise ValueError(
            f"label values {', '.join(map(str, wrong))}, but expected 0-{num_classes - 1} and "
            f"{ignore_index} (ignored); convert the labels to trainIds")
    return counts[:num_classes]


class _Extremes:
    """Best and worst scores of each domain so far.

    Args:
        count: Number of best scores to keep, and of worst ones.
    """

    def __init__(self, count: int):
        self.count = count
        self._scores: dict[str, list[float]] = {}

    def offer(self, domain: str, score: float) -> bool:
        """Add an image's score; return whether it is among the best or worst."""
        if not self.count or np.isnan(score):
            return False
        scores = self._scores.setdefault(domain, [])
        scores.append(score)
        scores.sort()
        if len(scores) > 2 * self.count:
            dropped = scores.pop(self.count)
            return score != dropped
        return True


@METRICS.register_module()
class DGIoUMetric(BaseMetric):
    """IoU per domain and the mean over domains, in percent.

    Returns `<domain>_mIoU`, `<domain>_mAcc`, `<domain>_aAcc` for each domain and `mean_mIoU`,
    rounded to two decimals. In the main process, `results_table` keeps the last results at full
    precision and `images` the results of each image, for reports. Test loops set `folders`, from
    `rein.datasets.image_folders`, to name images by their place in the dataset.

    Args:
        dataset_keys (Sequence[str], optional): Domains to report, in this order; samples of other
            domains are ignored. None: all domains, in order of occurrence.
        mean_used_keys (Sequence[str], optional): Domains to average. None: all reported domains.
        iou_metrics (Sequence[str]): ["mIoU"]; no other measure is supported.
        ignore_index (int): Label of the ignored pixels.
        protocol (str): Name of the evaluation protocol, printed with the table.
        examples (int): Number of best images, and of worst ones, to keep as pictures per domain.
        output_dir (str, optional): Folder for the predictions, written as trainIds to
            `<domain>/<path below the folder of the domain's images>.png`.
        format_only (bool): Only write predictions; labels are not needed.
        **kwargs: Passed to `mmengine.evaluator.BaseMetric`.
    """

    default_prefix = ""

    def __init__(
        self, dataset_keys: Sequence[str] | None = None,
        mean_used_keys: Sequence[str] | None = None, iou_metrics: Sequence[str] = ("mIoU",),
        ignore_index: int = IGNORE_INDEX, protocol: str = "", examples: int = 0,
        output_dir: str | None = None, format_only: bool = False, **kwargs,
    ):
        super().__init__(**kwargs)
        if list(iou_metrics) != ["mIoU"]:
            raise UserError(
                f"DGIoUMetric: iou_metrics is {list(iou_metrics)}; only ['mIoU'] is supported.")
        if dataset_keys and not {*(mean_used_keys or ())} <= {*dataset_keys}:
            raise UserError(
                f"DGIoUMetric: mean_used_keys {list(mean_used_keys)} must all be in dataset_keys "
                f"{list(dataset_keys)}.")
        if format_only and not output_dir:
            raise UserError("DGIoUMetric: format_only needs an output_dir.")
        self.dataset_keys = dataset_keys and tuple(dataset_keys)
        self.mean_used_keys = mean_used_keys and tuple(mean_used_keys)
        self.ignore_index = ignore_index
        self.protocol = protocol
        self.examples = examples
        self.output_dir = output_dir
        self.format_only = format_only
        self.results_table: DomainResults | None = None
        self.images: tuple[ImageResult, ...] = ()
        self.folders: Mapping[str, ImageFolders] = {}
        self._extremes = _Extremes(examples)

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Count the pixels of one batch.

        Args:
            data_batch (dict): The images, for the pictures.
            data_samples (Sequence[dict]): Samples with `pred_sem_seg` (1, H, W), `gt_sem_seg`
                (1, H, W), `domain` and `img_path`; `confidence` (1, H, W) and `shift` are optional.
        """
        for i, sample in enumerate(data_samples):
            if "domain" not in sample:
                raise UserError(
                    f"{sample.get('img_path')}: the sample has no domain. Use UrbanSceneDataset, "
                    "or call rein.datasets.domain_stamps.stamp_domains on the dataset.")
            prediction = sample["pred_sem_seg"]["data"].squeeze(0)
            if self.output_dir:
                self._save(prediction, sample)
            if self.format_only:
                self.results.append(ImageResult(sample["domain"], sample["img_path"]))
            else:
                self.results.append(self._count(prediction, sample, data_batch, i))

    def fail(self, domain: str, path: str, error: str) -> None:
        """Record an image without a prediction; it is reported, but excluded from the results."""
        self.results.append(ImageResult(domain, path, error=error))

    def _count(
        self, prediction: Tensor, sample: dict, data_batch: dict, index: int
    ) -> ImageResult:
        domain, path = sample["domain"], sample.get("img_path", "")
        if "gt_sem_seg" not in sample:
            raise UserError(
                f"{path}: no label to compare with. To write predictions without labels, set "
                "format_only=True and output_dir in the evaluator.")
        truth = sample["gt_sem_seg"]["data"].squeeze(0)
        num_classes = len(self.dataset_meta["classes"])
        try:
            counts = confusion_matrix(prediction, truth, num_classes, self.ignore_index)
        except ValueError as error:
            raise SampleError(f"{sample.get('seg_map_path')}: {error}") from error
        strip = b""
        if self._extremes.offer(domain, image_miou(counts)):
            seen = seen_image(sample, data_batch, index)
            strip = example_strip(path if seen is None else seen, prediction.cpu().numpy(),
                                  truth.cpu().numpy(), self.dataset_meta["palette"])
        return ImageResult(domain, path, counts, strip=strip, shift=sample.get("shift"),
                           bins=self._bins(sample, prediction, truth))

    def _bins(self, sample: dict, prediction: Tensor, truth: Tensor) -> np.ndarray | None:
        """Count the labelled pixels by confidence; None if the segmentor gives none."""
        if "confidence" not in sample:
            return None
        confidence, prediction, truth = (value.cpu().numpy() for value in (
            sample["confidence"]["data"].squeeze(0), prediction, truth))
        counted = truth != self.ignore_index
        return reliability_bins(confidence[counted], (prediction == truth)[counted])

    def _save(self, prediction: Tensor, sample: dict) -> None:
        domain = sample["domain"]
        name = Path(image_name(sample["img_path"], domain, self.folders)).with_suffix(".png")
        labels = Image.fromarray(prediction.cpu().numpy().astype(np.uint8))
        save_png(labels, Path(self.output_dir, domain, name))

    def compute_metrics(self, results: list[ImageResult]) -> dict[str, float]:
        """Sum the counts of all images and print the table.

        Args:
            results: One result per sample.
        """
        self._extremes = _Extremes(self.examples)
        self.images = self._named(self._without_other_strips(results))
        failures = failures_text(self.images)
        if failures:
            print_log(failures, "current", logging.WARNING)
        if self.format_only:
            print_log(f"predictions written to {self.output_dir}", logger="current")
            return {}
        self.results_table = table = self._summarize()
        print_log("\n" + text_table(table), logger="current")
        reliability = reliability_of(self.images)
        if reliability:
            print_log("\n" + reliability_text(reliability), logger="current")
        metrics = {}
        for i, domain in enumerate(table.domains):
            metrics[f"{domain}_mIoU"] = table.miou[i]
            metrics[f"{domain}_mAcc"] = table.macc[i]
            metrics[f"{domain}_aAcc"] = table.aacc[i]
        metrics["mean_mIoU"] = table.mean(table.miou)
        return {key: round(float(value), 2) for key, value in metrics.items()}

    def _without_other_strips(self, results: list[ImageResult]) -> tuple[ImageResult, ...]:
        """Drop the pictures of images that are not among the final best and worst."""
        ranked: dict[str, list[tuple[float, int]]] = {}
        for i, image in enumerate(results):
            if image.strip:
                ranked.setdefault(image.domain, []).append((image_miou(image.confusion), i))
        kept = set()
        for scores in ranked.values():
            order = [i for _, i in sorted(scores)]
            kept.update(order[:self.examples] + order[-self.examples:])
        return tuple(image if i in kept else dataclasses.replace(image, strip=b"")
                     for i, image in enumerate(results))

    def _named(self, images: Sequence[ImageResult]) -> tuple[ImageResult, ...]:
        """Add names and folders to the images of domains with known folders."""
        return tuple(
            image if image.domain not in self.folders else dataclasses.replace(
                image, name=image_name(image.path, image.domain, self.folders),
                folder=self.folders[image.domain].below_root())
            for image in images)

    def _summarize(self) -> DomainResults:
        found: dict[str, np.ndarray] = {}
        for image in self.images:
            if image.error:
                continue
            found[image.domain] = found.get(image.domain, 0) + image.confusion
        domains = tuple(key for key in self.dataset_keys or found if key in found)
        mean_domains = tuple(key for key in domains if key in (self.mean_used_keys or domains))
        if self.images and not found:
            raise UserError(f"no image could be read: {len(self.images)} failed; the first: "
                            f"{self.images[0].error}")
        if not mean_domains:
            raise UserError(
                f"DGIoUMetric: the samples' domains are {list(found)}; none of them is in "
                f"{list(self.mean_used_keys or self.dataset_keys or ())}. Correct dataset_keys or "
                "the datasets' `domain`.")
        absent = {*(self.dataset_keys or ()), *(self.mean_used_keys or ())} - {*found}
        uncounted = {*found} - {*domains}
        for names, reason in ((absent, "has no samples"), (uncounted, "is not in dataset_keys")):
            for name in sorted(names):
                print_log(
                    f"domain {name} is ignored: it {reason}", "current", logging.WARNING)
        classes = tuple(self.dataset_meta["classes"])
        confusion = np.stack([found[name] for name in domains])
        return DomainResults(domains, classes, confusion, mean_domains, self.protocol)
