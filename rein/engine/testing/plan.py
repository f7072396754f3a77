"""Plan tests: turn a config and options into one config per protocol.

This module builds and reads nothing.
"""

import copy
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config

from rein.engine.testing.options import EvaluationOptions
from rein.engine.testing.protocols import (
    apply_protocol,
    datasets_under_test,
    dg_evaluator,
    for_submission,
    inference_text,
    set_mode,
    sizes,
    use_tta,
)
from rein.errors import UserError

_TRAINING_KEYS = ("train_dataloader", "train_cfg", "optim_wrapper", "param_scheduler",
                  "val_dataloader", "val_cfg", "val_evaluator")


class PlannedTest(NamedTuple):
    """A planned test under one protocol.

    Attributes:
        name: Subfolder of the reports; "" for the report folder itself.
        cfg: The whole config, ready for a runner.
        conditions: Fields of the test's `RunRecord`: protocol, sizes, inference.
    """

    name: str
    cfg: Config
    conditions: dict[str, Any]


def plan_tests(cfg: Config, checkpoint: str, options: EvaluationOptions) -> list[PlannedTest]:
    """Plan one test per protocol; without protocols, one test as the config sets it.

    Args:
        cfg: The whole config; not modified.
        checkpoint: The checkpoint; the default work dir is named after it.
        options: How to test.

    Raises:
        UserError: A protocol does not exist or does not fit the config.
    """
    cfg = _without_training(cfg, checkpoint, options)
    return [_plan(each, protocol, options)
            for protocol, each in _by_protocol(cfg, options).items()]


def plan_submission(
    cfg: Config, checkpoint: str, server: str, options: EvaluationOptions
) -> Config:
    """Plan the prediction of a server's images; see `plan_tests`.

    Returns:
        The config, ready for a runner. Its `test_evaluator.output_dir` is inside the report folder.

    Raises:
        UserError: The config does not test on the server's domains, or a protocol does not fit.
    """
    cfg = _without_training(cfg, checkpoint, options)
    cfg, = _by_protocol(cfg, options).values()
    cfg = for_submission(cfg, server)
    cfg.test_evaluator["output_dir"] = str(
        Path(options.out or cfg.work_dir) / f"{server}_predictions")
    if options.tta:
        use_tta(cfg)
    return cfg


def _without_training(cfg: Config, checkpoint: str, options: EvaluationOptions) -> Config:
    """Copy a config, set work dir and launcher, and remove the settings of training.

    Raises:
        UserError: It has no settings of testing.
    """
    check_set(cfg, "test_dataloader", "test_evaluator")
    cfg = copy.deepcopy(cfg)
    cfg.work_dir = options.work_dir or str(Path("work_dirs") / Path(checkpoint).stem)
    cfg.launcher, cfg.load_from, cfg.resume = options.launcher, None, False
    for key in _TRAINING_KEYS:
        cfg.pop(key, None)
    return cfg


def check_set(cfg: Config, *keys: str) -> None:
    """Raise a `UserError` if a config leaves one of these settings of testing out."""
    for key in keys:
        if not cfg.get(key):
            raise UserError(f"{cfg.filename or 'the config'}: sets no {key}, so there is nothing "
                            "to test on. Set it, as the configs in configs/ do.")


def _by_protocol(cfg: Config, options: EvaluationOptions) -> dict[str, Config]:
    """Make one config per protocol, in the given order; without protocols, map "" to `cfg`."""
    if options.mode or options.protocols:
        set_mode(cfg, options.mode or "slide")
    return {name: apply_protocol(cfg, name) for name in options.protocols} or {"": cfg}


def _plan(cfg: Config, protocol: str, options: EvaluationOptions) -> PlannedTest:
    """Plan one test: set examples and predictions to keep and, with `tta`, averaging."""
    evaluator = dg_evaluator(cfg)
    name = options.name_of(protocol)
    conditions = dict(protocol=(evaluator or {}).get("protocol", ""), sizes=sizes(cfg),
                      inference=inference_text(
                          cfg, options.tta, options.int8, options.raw_weights))
    if evaluator is not None:
        evaluator.setdefault("examples", 2 if len(datasets_under_test(cfg)) <= 8 else 1)
        if options.out:
            evaluator["output_dir"] = str(Path(options.out) / name / "predictions")
    if options.tta:
        use_tta(cfg)
    return PlannedTest(name, cfg, conditions)
