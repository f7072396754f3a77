"""Rein: frozen vision foundation models for domain-generalized semantic segmentation.

Importing the package is cheap: its names load on first access. Call `rein.register_all_modules()`
before building this project's models, datasets or metrics from a config by hand.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rein.api import Segmentor, extract_features, load_segmentor
    from rein.engine.inference import init_segmentor, segment
    from rein.engine.registration import register_all_modules
    from rein.images import read_image
    from rein.models.adapters.adding import add_adapter
    from rein.prediction import Prediction

__version__ = "0.1.0"

__all__ = [
    "Prediction", "Segmentor", "add_adapter", "extract_features", "init_segmentor",
    "load_segmentor", "read_image", "register_all_modules", "segment",
]

_HOMES = {
    "Prediction": "rein.prediction",
    "Segmentor": "rein.api",
    "add_adapter": "rein.models.adapters.adding",
    "extract_features": "rein.api",
    "init_segmentor": "rein.engine.inference",
    "load_segmentor": "rein.api",
    "read_image": "rein.images",
    "register_all_modules": "rein.engine.registration",
    "segment": "rein.engine.inference",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
