"""Check arguments from configs: unknown names, missing ones, and values out of range."""

import difflib
import inspect
from collections.abc import Collection, Mapping
from typing import Any

from rein.errors import UserError
from rein.values import SWITCH, Kind, check_value

UNNEEDED = {
    "ReinMask2FormerHead": {
        "strides": "published configs name the maps' strides; mmdet's pixel decoder ignores them",
    },
}
"""Type name -> arguments in published configs that this project ignores, with the reason."""


def known_arguments(cls: type, last: type = object) -> set[str]:
    """Collect the keyword arguments that a class accepts.

    Args:
        cls: The class. As long as an `__init__` takes `**kwargs`, the next class in the method
            resolution order counts, too.
        last: The last class to inspect, even if it takes `**kwargs`.

    Returns:
        Names of keyword arguments.
    """
    return set(_parameters(cls, last))


def _parameters(cls: type, last: type) -> dict[str, inspect.Parameter]:
    """Collect the parameters behind `known_arguments` by name."""
    found: dict[str, inspect.Parameter] = {}
    for base in cls.__mro__:
        if "__init__" not in vars(base):
            continue
        parameters = list(inspect.signature(base.__init__).parameters.values())[1:]
        found = {p.name: p for p in parameters
                 if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)} | found
        if base is last or not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return found


def check_arguments(cls: type, given: Mapping[str, Any], last: type = object) -> None:
    """Raise if a class cannot be built with these arguments.

    Values are checked where the annotation has a `Kind`, `Annotated[int, COUNT]`, or is `bool`. The
    default is always right.

    Args:
        cls: The class.
        given: Its arguments.
        last: As for `known_arguments`.

    Raises:
        UserError: An argument is missing or has a wrong value.
    """
    parameters = _parameters(cls, last)
    for name, parameter in parameters.items():
        if name not in given:
            if parameter.default is parameter.empty:
                raise UserError(f"{cls.__name__} needs the argument {name!r}.")
            continue
        kinds = [SWITCH] if parameter.annotation is bool else [
            kind for kind in getattr(parameter.annotation, "__metadata__", ())
            if isinstance(kind, Kind)]
        for kind in kinds if given[name] is not parameter.default else ():
            check_value(cls.__name__, name, given[name], kind)


def refuse_unknown(
    owner: str, given: Collection[str], known: Collection[str], what: str = "argument",
) -> None:
    """Raise if an argument is unknown.

    Args:
        owner: Type name in the config.
        given: Argument names in the config.
        known: Known argument names.
        what: What the names are, for the message.

    Raises:
        UserError: An argument is unknown; the message names the nearest known one.
    """
    for name in given:
        if name in known:
            continue
        near = difflib.get_close_matches(name, known, n=1)
        listed = sorted(name for name in known if not name.startswith("_"))
        hint = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(listed)}."
        raise UserError(f"{owner} has no {what} {name!r}. {hint}")
