"""Look up the types that configs may name, in all registries."""

import contextlib
import io
from collections.abc import Callable
from typing import NamedTuple

from mmengine.registry import Registry
from mmengine.registry import root as root_registries

from rein.engine.registration import register_all_modules


class RegisteredType(NamedTuple):
    """A class or function that configs may name.

    Attributes:
        registry: Name of its registry, for example "hook".
        build: The class or function.
    """

    registry: str
    build: Callable


def registered_types() -> dict[str, list[RegisteredType]]:
    """Collect all registered types by name, with and without their scope.

    Returns:
        Name, for example "AdamW" or "mmdet.DiceLoss" -> every type of that name.
    """
    register_all_modules(init_default_scope=False)
    types = {}
    pending = [r for r in vars(root_registries).values() if isinstance(r, Registry)]
    while pending:
        registry = pending.pop()
        with contextlib.redirect_stdout(io.StringIO()):  # mmdet reports missing packages
            registry.import_from_location()
        for name, build in registry.module_dict.items():
            for key in (name, f"{registry.scope}.{name}"):
                types.setdefault(key, []).append(RegisteredType(registry.name, build))
        pending.extend(registry.children.values())
    return types
