"""The plan of a test: from a config and options to one config for each protocol.

Nothing is built or read here.
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

_TRAINING_KEYS = ("train_dataloader", "train_cfg", "optim_wrapper", "param_scheduler",
                  "val_dataloader", "val_cfg", "val_evaluator")


class PlannedTest(NamedTuple):
    """The test of one protocol.

    Attributes:
        name: Its folder below the reports'; "" for none of its own.
        cfg: The whole config, ready for a runner.
        conditions: Fields of its `RunRecord`: protocol, sizes, inference.
    """

    name: str
    cfg: Config
    conditions: dict[str, Any]


def plan_tests(cfg: Config, checkpoint: str, options: EvaluationOptions) -> list[PlannedTest]:
    """Plan one test for each protocol; without protocols one, as the config has it.

    Args:
        cfg: The whole config; it is not changed.
        checkpoint: Its name is the default work dir's.
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
        The config, ready for a runner. Its `test_evaluator.output_dir` is below the folder of the
        reports.

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
    """Copy a config, say where its test runs, and leave out what it has no use for."""
    cfg = copy.deepcopy(cfg)
    cfg.work_dir = options.work_dir or str(Path("work_dirs") / Path(checkpoint).stem)
    cfg.launcher, cfg.load_from, cfg.resume = options.launcher, None, False
    for key in _TRAINING_KEYS:
        cfg.pop(key, None)
    return cfg


def _by_protocol(cfg: Config, options: EvaluationOptions) -> dict[str, Config]:
    """Make a config for each protocol, in the order given; "" is the config's own."""
    if options.mode or options.protocols:
        set_mode(cfg, options.mode or "slide")
    return {name: apply_protocol(cfg, name) for name in options.protocols} or {"": cfg}


def _plan(cfg: Config, protocol: str, options: EvaluationOptions) -> PlannedTest:
    """Let a protocol's config keep examples and predictions and, with `tta`, average."""
    evaluator = dg_evaluator(cfg)
    name = options.name_of(protocol)
    conditions = dict(protocol=(evaluator or {}).get("protocol", ""), sizes=sizes(cfg),
                      inference=inference_text(cfg, options.tta, options.int8))
    if evaluator is not None:
        evaluator.setdefault("examples", 2 if len(datasets_under_test(cfg)) <= 8 else 1)
        if options.out:
            evaluator["output_dir"] = str(Path(options.out) / name / "predictions")
    if options.tta:
        use_tta(cfg)
    return PlannedTest(name, cfg, conditions)
