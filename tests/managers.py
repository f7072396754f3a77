"""Isolation of what mmengine keeps for the whole process."""

import contextlib
from collections import OrderedDict
from collections.abc import Iterator

from mmengine.logging import MMLogger
from mmengine.utils import ManagerMixin
from mmengine.visualization import Visualizer


@contextlib.contextmanager
def own_managers() -> Iterator[None]:
    """Hide all loggers, message hubs, visualizers and scopes; in the end, drop the new ones."""
    managers = list(_subclasses(ManagerMixin))
    instances = [manager._instance_dict for manager in managers]
    for manager in managers:
        manager._instance_dict = OrderedDict()
    try:
        yield
    finally:
        for logger in MMLogger._instance_dict.values():
            for handler in logger.handlers:
                handler.close()
        for visualizer in Visualizer._instance_dict.values():
            visualizer.close()  # TensorBoard's writer has a thread
        for manager, before in zip(managers, instances, strict=True):
            manager._instance_dict = before


def _subclasses(cls: type) -> Iterator[type]:
    yield cls
    for one in cls.__subclasses__():
        yield from _subclasses(one)
