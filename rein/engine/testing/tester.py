"""Build the runner of a test and load a checkpoint into its model."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from mmengine.config import Config
from torch import nn

from rein.checkpoint import load_file, with_raw_weights
from rein.engine.calibration import use_calibration
from rein.engine.testing.options import EvaluationOptions
from rein.engine.training.hooks import unwrap
from rein.engine.training.runner import ReinRunner
from rein.engine.weights.loading import load_for_testing
from rein.paths import find_path


class Tester(NamedTuple):
    """A runner that is ready to test.

    Attributes:
        runner: The runner of one config; `prepare_test` switches it to another config's datasets.
        model: The segmentor, without wrappers for distributed runs or test-time augmentation.
        content: Content of the checkpoint file.
    """

    runner: ReinRunner
    model: nn.Module
    content: Mapping[str, Any]


def load_tester(cfg: Config, checkpoint: str, options: EvaluationOptions) -> Tester:
    """Build the runner of a planned config and load the weights of its model.

    Raises:
        UserError: Data or weights are missing or do not fit.
    """
    content = load_file(find_path(checkpoint))
    if options.raw_weights:
        content = with_raw_weights(content, checkpoint)
    runner = ReinRunner.from_cfg(cfg)
    model = unwrap(runner.model)
    model = model.module if options.tta else model
    model.keep_logits = options.tta
    load_for_testing(
        model, content, checkpoint, options.backbone, options.allow_other_backbone)
    use_calibration(model, content, checkpoint)
    model.keep_confidence = not options.tta  # scales and flips are averaged as logits
    if options.tta:
        model.statistics = None
    return Tester(runner, model, content)
