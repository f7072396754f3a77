"""Register our models, datasets, metrics and hooks with mmengine and mmseg."""

import contextlib
import gc
import importlib
import io
from collections.abc import Iterator

from mmengine.logging import MMLogger

_MODULES = (
    "rein.models",
    "rein.datasets.corruptions",
    "rein.datasets.domain_stamps",
    "rein.datasets.urban_scene_dataset",
    "rein.engine.training.hooks",
    "rein.engine.training.optim",
    "rein.engine.training.seeding",
    "rein.engine.training.sharding",
    "rein.engine.training.corrupt_files",
    "rein.evaluation.domain_iou",
    "rein.evaluation.pictures",
)
"""All modules that register something."""


def register_all_modules(init_default_scope: bool = True) -> None:
    """Register all our types and mmseg's under the names that configs use.

    Called automatically when `rein.engine.configs.reading` reads a config, and when a runner is
    built.

    Args:
        init_default_scope: Make mmseg's registries the default, like the function of the same name
            in `mmseg.utils`.
    """
    MMLogger.get_current_instance()  # keeps the stream that it finds when it is created
    with _collection_paused(), contextlib.redirect_stdout(io.StringIO()):  # mmdet prints messages
        for module in _MODULES:
            importlib.import_module(module)
        _load_files_safely()
        importlib.import_module("mmseg.utils").register_all_modules(init_default_scope)


def _load_files_safely() -> None:
    """Let mmengine read local weight files as data; its own loader falls back to running code."""
    from mmengine.runner import CheckpointLoader

    from rein.checkpoint import load_file

    CheckpointLoader.register_scheme(
        "", lambda path, map_location=None: load_file(path, map_location or "cpu"), force=True)


@contextlib.contextmanager
def _collection_paused() -> Iterator[None]:
    """Pause garbage collection, which would take a sixth of the import time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
