"""Use the calibration that a checkpoint carries: its temperature and statistics of features."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from torch import nn

from rein.checkpoint import CALIBRATION, FEATURE_STATISTICS, meta_of
from rein.evaluation.confidence import temperature_of
from rein.evaluation.shift import FeatureStatistics


def use_calibration(model: nn.Module, content: Mapping[str, Any], source: str | Path) -> None:
    """Set a segmentor's temperature and feature statistics from a checkpoint's meta.

    Args:
        model: An `EncoderDecoder`.
        content: Content of the checkpoint file.
        source: The file, named in messages.

    Raises:
        UserError: They are damaged.
    """
    meta, settings = meta_of(content), cast(Any, model)
    settings.temperature = temperature_of(meta.get(CALIBRATION), source)
    statistics = meta.get(FEATURE_STATISTICS)
    settings.statistics = statistics and FeatureStatistics.from_meta(statistics, source)
