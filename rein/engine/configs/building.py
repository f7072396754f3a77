"""Build models from configs."""

from collections.abc import Mapping
from typing import Any

from mmengine.registry import DefaultScope
from mmseg.registry import MODELS
from torch import nn

from rein.engine.configs.checking import check_types
from rein.engine.registration import register_all_modules
from rein.errors import building


def build_model(cfg: Mapping[str, Any]) -> nn.Module:
    """Build a model from its config, e.g. `cfg.model`, with mmseg's registry as the default.

    Raises:
        UserError: A type or a key is unknown, or a part cannot be built.
    """
    register_all_modules(init_default_scope=False)
    check_types(cfg, "model")
    with building("model"), DefaultScope.overwrite_default_scope("mmseg"):
        return MODELS.build(cfg)
