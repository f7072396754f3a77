"""Testing a checkpoint, as tools/test.py does it."""

import copy
from pathlib import Path

from mmengine.config import Config

from rein.checkpoint import load_file
from rein.engine.config import find_path, load_config
from rein.engine.hooks import unwrap
from rein.engine.runner import ReinRunner
from rein.engine.weights import carried_config, load_for_testing
from rein.errors import UserError

TTA_RATIOS = (0.75, 1.0, 1.25)
"""Scales of test-time augmentation, relative to the size the config tests at."""


def read_config(path: str) -> Config:
    """Read a config file, or the config that a checkpoint carries, as data.

    Raises:
        UserError: There is none.
    """
    if Path(path).suffix not in (".pth", ".pt", ".safetensors"):
        return load_config(path)
    cfg = carried_config(load_file(find_path(path)), path)
    if cfg is None:
        raise UserError(
            f"{path}: carries no config. Give one: `python tools/test.py CONFIG {path}`.")
    return cfg


def test(
    cfg: Config,
    checkpoint: str,
    backbone: str | None = None,
    work_dir: str | None = None,
    out: str | None = None,
    show_dir: str | None = None,
    tta: bool = False,
    launcher: str = "none",
    allow_other_backbone: bool = False,
) -> dict[str, float]:
    """Test a checkpoint on the config's test datasets.

    Args:
        cfg: The whole config; it is changed to what is run.
        checkpoint: A full segmentor or what training saved.
        backbone: Pretrained weights, for a checkpoint without; default: what the config names.
        work_dir: Where the log goes.
        out: Folder for results.json, results.md and the predictions as trainId PNGs.
        show_dir: Folder for pictures: image, truth and prediction side by side.
        tta: Average over scales and flips.
        launcher: none, pytorch, slurm or mpi.
        allow_other_backbone: Test with another frozen backbone than the checkpoint's.

    Returns:
        IoU per domain and their mean, in percent.

    Raises:
        UserError: Data or weights are missing or do not fit.
    """
    content = load_file(find_path(checkpoint))
    cfg.work_dir = work_dir or str(Path("work_dirs") / Path(checkpoint).stem)
    cfg.launcher, cfg.load_from, cfg.resume = launcher, None, False
    # a run for testing has nothing to train
    for key in ("train_dataloader", "train_cfg", "optim_wrapper", "param_scheduler",
                "val_dataloader", "val_cfg", "val_evaluator"):
        cfg.pop(key, None)
    if out:
        cfg.test_evaluator.update(
            out_file=str(Path(out) / "results.json"), output_dir=str(Path(out) / "predictions"))
    if show_dir:
        cfg.custom_hooks = [
            *cfg.get("custom_hooks", []), dict(type="PredictionPictures", out_dir=show_dir)]
    if tta:
        use_tta(cfg)
    runner = ReinRunner.from_cfg(cfg)
    model = unwrap(runner.model)
    load_for_testing(
        model.module if tta else model, content, checkpoint, backbone, allow_other_backbone)
    return runner.test()


test.__test__ = False  # not a test of pytest's


def use_tta(cfg: Config) -> None:
    """Change a config to test-time augmentation: the mean over scales and horizontal flips."""
    cfg.tta_model = dict(cfg.get("tta_model") or dict(type="SegTTAModel"))
    cfg.model = dict(cfg.tta_model, module=cfg.model)
    for dataset in _datasets(cfg.test_dataloader.dataset):
        dataset.pipeline = _tta_pipeline(dataset.pipeline)


def _datasets(dataset) -> list:
    """Return the datasets in a config with or without wrappers."""
    if "datasets" in dataset:
        return [leaf for part in dataset.datasets for leaf in _datasets(part)]
    return _datasets(dataset.dataset) if "dataset" in dataset else [dataset]


def _tta_pipeline(pipeline: list[dict]) -> list[dict]:
    """Turn load, resize, annotate, pack into load and the others once per scale and flip."""
    kinds = [step["type"] for step in pipeline]
    if kinds[0] != "LoadImageFromFile" or "Resize" not in kinds:
        raise UserError(f"--tta needs a test pipeline that loads and resizes; this one is {kinds}.")
    resizes = []
    for ratio in TTA_RATIOS:
        step = copy.deepcopy(pipeline[kinds.index("Resize")])
        if "scale" in step:
            step["scale"] = tuple(round(side * ratio) for side in step["scale"])
        else:
            step["scale_factor"] = step["scale_factor"] * ratio
        resizes.append(step)
    flips = [dict(type="RandomFlip", prob=float(p), direction="horizontal") for p in (0, 1)]
    rest = [[step] for step in pipeline[1:] if step["type"] != "Resize"]
    return [pipeline[0], dict(type="TestTimeAug", transforms=[resizes, flips, *rest])]
