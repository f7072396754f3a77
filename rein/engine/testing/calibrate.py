"""Calibrate a checkpoint on source images; the function behind tools/test.py --calibrate."""

import copy
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.logging import print_log
from mmengine.registry import DefaultScope
from mmseg.structures import SegDataSample
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset
from tqdm import tqdm

from rein.checkpoint import CALIBRATION, FEATURE_STATISTICS, load_file, meta_of, save_file
from rein.datasets.building import build_dataset
from rein.datasets.dataset_configs import leaf_datasets, type_name
from rein.datasets.label_maps import IGNORE_INDEX
from rein.engine.configs.building import build_model
from rein.engine.configs.checking import check_config
from rein.engine.registration import register_all_modules
from rein.engine.testing.options import EvaluationOptions
from rein.engine.testing.plan import check_set
from rein.engine.testing.protocols import datasets_under_test, set_mode
from rein.engine.training.loaders import fit_to_machine
from rein.engine.weights.loading import load_for_testing
from rein.errors import UserError, building
from rein.evaluation.shift import FeatureStatistics, learn_statistics
from rein.evaluation.temperature import Fit, assess, fit_temperature, log_scores
from rein.models.segmentors.pixels import gives_scores
from rein.paths import find_path, resolve_paths

LOADER = "calibration_dataloader"
"""Key of a config: held-out images of the source, with labels."""

MAX_IMAGES = 250  # of each part; the temperature and the statistics change little with more
MAX_PIXELS = 500_000  # 38 MB with 19 classes
_HELD_BACK = 5  # without held-out images, every fifth training image replaces them


class Calibrated(NamedTuple):
    """A calibrated checkpoint.

    Attributes:
        path: The file.
        data: The images used, in words.
        pixels: Pixels of the fit.
        before: Likelihood and calibration error at temperature 1.
        after: The same at the fitted temperature.
        statistics: Statistics of the source images' features.
    """

    path: Path
    data: str
    pixels: int
    before: Fit
    after: Fit
    statistics: FeatureStatistics


class SourceImages(NamedTuple):
    """Source images, in the test pipeline.

    Attributes:
        training: Images for the statistics of features.
        held_out: Labelled images for the temperature and the threshold.
        data: The latter in words.
    """

    training: Sequence
    held_out: Sequence
    data: str


def calibrate_checkpoint(
    cfg: Config, checkpoint: str, options: EvaluationOptions | None = None,
) -> Calibrated:
    """Fit a temperature and collect statistics of features; store both in the checkpoint.

    The file is replaced atomically; its weights and everything else in it are unchanged.

    Args:
        cfg: The whole config; not modified.
        checkpoint: A full segmentor or a training checkpoint.
        options: `backbone`, `allow_other_backbone` and `mode` are used.

    Raises:
        UserError: Data or weights are missing or do not fit, or the file cannot be written.
    """
    options, path = options or EvaluationOptions(), Path(find_path(checkpoint)).resolve()
    if options.launcher != "none":
        raise UserError("--calibrate runs in one process. Use tools/test.py without a launcher.")
    content = load_file(find_path(checkpoint))
    cfg = copy.deepcopy(cfg)
    register_all_modules(init_default_scope=False)
    check_config(cfg)
    check_set(cfg, "test_dataloader")  # whose pipeline loads the source's images
    if options.mode:
        set_mode(cfg, options.mode)
    images, workers = source_images(cfg), cfg.test_dataloader.get("num_workers", 0)
    model = build_model(cfg.model)
    load_for_testing(model, content, checkpoint, options.backbone, options.allow_other_backbone)
    model.to("cuda" if torch.cuda.is_available() else "cpu").eval()
    model.keep_features, model.keep_logits = True, False
    statistics = learn_statistics(np.stack([
        sample.features for sample in _predicted(model, images.training, workers, "training")]))
    logits, truth, features = _held_out(model, images.held_out, workers)
    statistics = statistics.with_threshold(features)
    temperature = round(fit_temperature(logits, truth), 4)
    done = Calibrated(path, images.data, len(truth), assess(logits, truth, 1.0),
                      assess(logits, truth, temperature), statistics)
    save_file(_with_meta(content, {
        CALIBRATION: _calibration_meta(done), FEATURE_STATISTICS: statistics.to_meta()}), path)
    return done


def source_images(cfg: Config) -> SourceImages:
    """Choose the images: the config's `calibration_dataloader` and its training images.

    Without the former, every fifth training image is used for it, with a warning.

    Raises:
        UserError: The config has no training data, or images are missing.
    """
    source = (cfg.get("train_dataloader") or {}).get("dataset")
    if source is None:
        raise UserError("--calibrate needs the source's images, but the config has no "
                        "train_dataloader. Give the config of the training.")
    training = _build(_tested(source, cfg))
    given = (cfg.get(LOADER) or {}).get("dataset")
    if given is not None:
        held_out = _build(given)
        _warn_of_tested(given, cfg)
        return SourceImages(_some(training, range(len(training))),
                            _some(held_out, range(len(held_out))),
                            f"{LOADER}: {_places(given)}")
    print_log(
        f"the config has no {LOADER} with held-out images of the source. Calibrating on training "
        "images, on which the model is surer than elsewhere: confidence will be too high.",
        "current", logging.WARNING)
    back = range(0, len(training), _HELD_BACK)
    rest = [i for i in range(len(training)) if i % _HELD_BACK]
    return SourceImages(_some(training, rest), _some(training, back),
                        f"training images: {_places(source)}")


def _build(cfg: Mapping[str, Any]) -> Sequence:
    with DefaultScope.overwrite_default_scope("mmseg"), building("a dataset"):
        return build_dataset(resolve_paths(Config(dict(dataset=cfg))).dataset)


def _tested(source: Mapping[str, Any], cfg: Config) -> dict:
    """Return a training dataset's config with the pipeline of the first test dataset."""
    steps = datasets_under_test(cfg)[0].get("pipeline") or [
        dict(type=kind) for kind in ("LoadImageFromFile", "LoadAnnotations", "PackSegInputs")]
    steps = [step for step in steps if type_name(step) != "Corrupt"]
    source = copy.deepcopy(source)
    for leaf in leaf_datasets(source):
        leaf["pipeline"] = copy.deepcopy(steps)
    return source


def _places(cfg: Mapping[str, Any]) -> str:
    """Name the image folders of a dataset's config."""
    return ", ".join(str(Path(root, folder)) for root, folder in _folders(cfg))


def _folders(cfg: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(leaf.get("data_root") or "", (leaf.get("data_prefix") or {}).get("img_path") or "")
            for leaf in leaf_datasets(cfg)]


def _warn_of_tested(given: Mapping[str, Any], cfg: Config) -> None:
    """Warn if the calibration images are test images as well."""
    tested = [folder for leaf in datasets_under_test(cfg) for folder in _folders(leaf)]
    both = [str(Path(*folder)) for folder in _folders(given) if folder in tested]
    if both:
        print_log(f"{LOADER}: {', '.join(both)} is tested as well, so the calibration error of "
                  "its test will look too small.", "current", logging.WARNING)


def _some(dataset: Sequence, indices: Sequence[int]) -> Subset:
    """Choose at most `MAX_IMAGES`, always the same ones.

    Raises:
        UserError: There are fewer than two.
    """
    if len(indices) < 2:
        raise UserError(f"--calibrate needs two source images of each part, found {len(indices)}.")
    if len(indices) > MAX_IMAGES:
        chosen = np.random.default_rng(0).choice(len(indices), MAX_IMAGES, replace=False)
        indices = [indices[i] for i in sorted(chosen)]
    return Subset(dataset, indices)


def _predicted(
    model: nn.Module, images: Sequence, workers: int | str, title: str,
) -> Iterator[SegDataSample]:
    """Predict images one by one."""
    loader = dict(num_workers=workers)
    fit_to_machine(loader)
    batches = DataLoader(images, batch_size=1, collate_fn=pseudo_collate, **loader)
    for batch in tqdm(batches, desc=title, unit="image", disable=None):
        with torch.no_grad():
            yield from model.test_step(batch)


def _held_out(
    model: nn.Module, images: Sequence, workers: int | str,
) -> tuple[Tensor, Tensor, np.ndarray]:
    """Collect a sample of the labelled pixels, and the features of each image.

    Returns:
        Logits or logarithms of scores (N, C), true classes (N,) and features (images, C).
    """
    model.keep_logits = True
    draw = torch.Generator().manual_seed(0)
    quota = max(MAX_PIXELS // len(images), 1)
    ignored = getattr(model.decode_head, "ignore_index", IGNORE_INDEX)
    logits, truth, features = [], [], []
    for sample in _predicted(model, images, workers, "held-out"):
        labels = sample.gt_sem_seg.data.flatten().cpu()
        places = (labels != ignored).nonzero()[:, 0]
        places = places[torch.randperm(len(places), generator=draw)[:quota]]
        scores = sample.seg_logits.data.flatten(1)
        logits.append(scores[:, places.to(scores.device)].T.float().cpu())
        truth.append(labels[places].long())
        features.append(sample.features)
    logits, truth = torch.cat(logits), torch.cat(truth)
    if not len(truth):
        raise UserError("--calibrate: the held-out images have no labelled pixel.")
    if int(truth.max()) >= logits.shape[1]:
        raise UserError(f"--calibrate: the held-out labels have the class {int(truth.max())}, but "
                        f"the model has {logits.shape[1]} classes. Convert them to trainIds.")
    scores_only = gives_scores(model.decode_head)
    return log_scores(logits) if scores_only else logits, truth, np.stack(features)


def _calibration_meta(done: Calibrated) -> dict[str, Any]:
    before, after = done.before, done.after
    return dict(
        temperature=after.temperature, data=done.data, images=done.statistics.held_out,
        pixels=done.pixels, nll_before=before.nll, nll_after=after.nll, ece_before=before.ece,
        ece_after=after.ece)


def _with_meta(content: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Add entries to a checkpoint's meta; bare weights become its `state_dict`."""
    meta = {**meta_of(content), **new}
    bare = all(isinstance(value, Tensor) for value in content.values())
    return dict(meta=meta, state_dict=content) if bare else {**content, "meta": meta}


def calibration_text(done: Calibrated) -> str:
    """Describe a calibration for the terminal."""
    before, after = done.before, done.after
    return (f"{done.pixels:,} pixels of {done.statistics.held_out} images ({done.data}): "
            f"ECE {before.ece:.2f} -> {after.ece:.2f}, negative log-likelihood {before.nll:.4f} -> "
            f"{after.nll:.4f}\ntemperature {after.temperature} and the features of "
            f"{done.statistics.images} training images written to {done.path}")
