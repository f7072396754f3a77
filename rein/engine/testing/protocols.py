"""Set up how configs test images: protocols, slide or whole, scales and flips, submissions.

Pure functions on configs. Sources: the `rein` protocol is from arXiv:2312.04265; the `full` one
from tqdm (arXiv:2407.09033), SoMA (arXiv:2412.04077) and MFuser (arXiv:2504.03193).
"""

import copy
from typing import Any

from mmengine.config import Config

from rein.datasets.dataset_configs import leaf_datasets, type_name
from rein.datasets.descriptions import DESCRIPTIONS, dataset_config
from rein.datasets.domains import domain_of_root
from rein.errors import UserError

TTA_RATIOS = (0.75, 1.0, 1.25)
"""Scales of test-time augmentation, relative to the test size of the config."""


def described_protocols() -> dict[str, dict[str, dict[str, Any]]]:
    """Collect the protocols from the descriptions of all datasets.

    Returns:
        Protocol -> domain -> `scale`, the (width, height) that images are resized to fit, and
        `data_prefix` if the protocol uses other folders. Domains outside a protocol are tested as
        the config sets them. A config's own `protocols`, in the same format, take precedence.
        Labels keep their size.
    """
    table = {}
    for dataset in DESCRIPTIONS.values():
        for name, setting in dataset.protocols.items():
            rule = dict(scale=setting.size)
            if setting.part:
                rule["data_prefix"] = dataset_config(setting.part)["data_prefix"]
            table.setdefault(name, {}).update(dict.fromkeys(dataset.protocol_domains, rule))
    return table


def datasets_under_test(cfg: Config) -> list:
    """Return the test dataset configs inside wrappers; modifying them modifies `cfg`."""
    return leaf_datasets(cfg.test_dataloader.dataset)


def domain_of(dataset) -> str:
    """Return the domain in a dataset's config, else the one inferred from its data_root."""
    return dataset.get("domain") or domain_of_root(dataset.get("data_root"))


def apply_protocol(cfg: Config, name: str) -> Config:
    """Return a config that tests under a protocol: sizes and folders.

    Args:
        cfg: Any config with test datasets; not modified.
        name: A key of `described_protocols` or of the config's own `protocols`.

    Raises:
        UserError: The protocol does not exist or covers none of the test datasets.
    """
    own, described = cfg.get("protocols") or {}, described_protocols()
    if name not in {*described, *own}:
        raise UserError(f"no such protocol: {name}. Choose from {', '.join({**described, **own})}.")
    table = {**described.get(name, {}), **own.get(name, {})}
    cfg = copy.deepcopy(cfg)
    domains = []
    for dataset in datasets_under_test(cfg):
        domains.append(domain_of(dataset))
        rule = table.get(domains[-1])
        if rule is None:
            continue
        dataset.pipeline = _resized_to(dataset.pipeline, tuple(rule["scale"]))
        if "data_prefix" in rule:
            dataset.data_prefix = dict(rule["data_prefix"])
    if not {*domains} & {*table}:
        raise UserError(f"protocol {name} is for {', '.join(table)}, but the config's test "
                        f"datasets are {', '.join(domains)}. Remove --protocol.")
    evaluator = dg_evaluator(cfg)
    if evaluator is not None:
        evaluator["protocol"] = name
    return cfg


def _resized_to(pipeline: list[dict], scale: tuple[int, int]) -> list[dict]:
    """Replace the resize step; labels are loaded after it, so they keep their size."""
    kinds = list(map(type_name, pipeline))
    if not next((kind for kind in kinds if kind != "Resize"), "").startswith("LoadImage"):
        raise UserError("--protocol needs test pipelines that start by loading an image, but this "
                        f"one is {kinds}.")
    before, after = _around_resizing(pipeline)
    return [*before, dict(type="Resize", scale=scale, keep_ratio=True), *after]


def _around_resizing(pipeline: list[dict]) -> tuple[list[dict], list[dict]]:
    """Split a pipeline at its resize step and drop that step; labels are loaded after it.

    Returns:
        The steps before resizing, such as loading and corrupting the image, and the other steps.
    """
    kinds = list(map(type_name, pipeline))
    end = kinds.index("Resize") if "Resize" in kinds else 1
    before, after = [], []
    for i, (kind, step) in enumerate(zip(kinds, pipeline, strict=True)):
        if kind != "Resize":
            (before if i < end and kind != "LoadAnnotations" else after).append(step)
    return before, after


def set_mode(cfg: Config, mode: str) -> None:
    """Set sliding or whole-image inference in place; the crop defaults to the training size.

    Args:
        cfg: The config.
        mode: "slide" or "whole".
    """
    cfg.model.test_cfg = cfg.model.get("test_cfg") or {}
    test_cfg = cfg.model.test_cfg  # a copy
    test_cfg["mode"] = mode
    if mode == "slide" and not test_cfg.get("crop_size"):
        size = cfg.model.get("data_preprocessor", {}).get("size")
        if not size:
            raise UserError("--mode slide: the config sets neither model.test_cfg.crop_size nor "
                            "model.data_preprocessor.size. Set the first with --cfg-options.")
        test_cfg["crop_size"] = tuple(size)
        test_cfg["stride"] = tuple(round(2 * side / 3) for side in size)


def dg_evaluator(cfg: Config) -> dict | None:
    """Return the config of the `DGIoUMetric`, whether alone or in a list, or None."""
    evaluators = cfg.test_evaluator
    for evaluator in evaluators if isinstance(evaluators, list | tuple) else [evaluators]:
        if type_name(evaluator) == "DGIoUMetric":
            return evaluator
    return None


def sizes(cfg: Config) -> dict[str, str]:
    """Map each test domain to the size that images are resized to fit, "WIDTHxHEIGHT"."""
    found = {}
    for dataset in datasets_under_test(cfg):
        resize = next((step for step in dataset.pipeline if type_name(step) == "Resize"), {})
        if resize.get("scale"):
            text = "x".join(map(str, resize["scale"]))
        else:
            text = f"{resize['scale_factor']} x own" if "scale_factor" in resize else "own"
        found[domain_of(dataset)] = text
    return found


def inference_text(
    cfg: Config, tta: bool = False, int8: bool = False, raw_weights: bool = False,
) -> str:
    """Describe the inference, e.g. "slide, crop 512x512, stride 341x341".

    Raises:
        UserError: It is to slide, but windows have no size or stride.
    """
    test_cfg = cfg.model.get("test_cfg") or {}
    text = test_cfg.get("mode", "whole")
    if text == "slide":
        for key in ("crop_size", "stride"):
            if not test_cfg.get(key):
                raise UserError(f"model.test_cfg: slides, but sets no {key}. Set it, as the "
                                "configs in configs/ do, or use --mode whole.")
        # crops are (height, width), but readers expect the width first
        crop, stride = (
            "x".join(map(str, reversed(test_cfg[key]))) for key in ("crop_size", "stride"))
        text = f"slide, crop {crop}, stride {stride}"
    ratios = ", ".join(map(str, TTA_RATIOS))
    text += f"; mean over scales {ratios} and flips" * tta
    text += "; bfloat16" * (cfg.model.get("precision") == "bf16")
    text += "; frozen backbone in int8" * int8
    return text + "; raw weights" * raw_weights


def for_submission(cfg: Config, server: str) -> Config:
    """Return a config that predicts a server's unlabelled test images.

    Args:
        cfg: A config whose test datasets include the server's domains; not modified.
        server: Name of a dataset whose description has a `submission`, e.g. "acdc".

    Raises:
        UserError: No test dataset of the config belongs to the server.
    """
    cfg = copy.deepcopy(cfg)
    folders = DESCRIPTIONS[server].submission
    kept = [dataset for dataset in datasets_under_test(cfg) if domain_of(dataset) in folders]
    if not kept:
        found = ", ".join(map(domain_of, datasets_under_test(cfg)))
        raise UserError(f"--submission {server} needs a config that tests on {', '.join(folders)}, "
                        f"but this one tests on {found}.")
    for dataset in kept:
        dataset.data_prefix = dict(img_path=folders[domain_of(dataset)])
        dataset.pipeline = [
            step for step in dataset.pipeline if type_name(step) != "LoadAnnotations"]
    cfg.test_dataloader.dataset = dict(type="ConcatDataset", datasets=kept)
    cfg.test_evaluator = dict(type="DGIoUMetric", format_only=True)
    return cfg


def use_tta(cfg: Config) -> None:
    """Add test-time augmentation to a config: the mean over scales and horizontal flips."""
    cfg.tta_model = dict(cfg.get("tta_model") or dict(type="SegTTAModel"))
    cfg.model = dict(cfg.tta_model, module=cfg.model)
    for dataset in datasets_under_test(cfg):
        dataset.pipeline = _tta_pipeline(dataset.pipeline)


def _tta_pipeline(pipeline: list[dict]) -> list[dict]:
    """Keep the steps before resizing; run the others once per scale and flip."""
    kinds = list(map(type_name, pipeline))
    if kinds[0] != "LoadImageFromFile" or "Resize" not in kinds:
        raise UserError(f"--tta needs a test pipeline that loads and resizes; this one is {kinds}.")
    resizes = []
    for ratio in TTA_RATIOS:
        step = copy.deepcopy(pipeline[kinds.index("Resize")])
        if "scale" in step:
            step["scale"] = tuple(round(side * ratio) for side in step["scale"])
        else:
            factor = step["scale_factor"]  # one, or one per side
            step["scale_factor"] = tuple(one * ratio for one in factor) if isinstance(
                factor, tuple | list) else factor * ratio
        resizes.append(step)
    flips = [dict(type="RandomFlip", prob=float(p), direction="horizontal") for p in (0, 1)]
    before, after = _around_resizing(pipeline)
    augmentation = [resizes, flips, *([step] for step in after)]
    return [*before, dict(type="TestTimeAug", transforms=augmentation)]
