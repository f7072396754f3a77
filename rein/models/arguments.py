"""Check arguments from configs: an unknown one raises and names the nearest known one."""

import difflib
import inspect
from collections.abc import Collection

from rein.errors import UserError

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
    names = set()
    for base in cls.__mro__:
        if "__init__" not in vars(base):
            continue
        parameters = list(inspect.signature(base.__init__).parameters.values())[1:]
        names |= {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
        if base is last or not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return names


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
