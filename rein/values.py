"""Kinds of values that users give, such as counts and shares, and their check."""

import math
from collections.abc import Callable
from numbers import Integral, Real
from pathlib import Path
from typing import Any, NamedTuple

from rein.errors import UserError


class Kind(NamedTuple):
    """A set of values.

    An argument annotated with it, `Annotated[int, COUNT]`, is checked where configs are built.

    Attributes:
        text: What is expected, for messages.
        has: Tells whether a value belongs to it.
    """

    text: str
    has: Callable[[Any], bool]


def _number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


COUNT = Kind("a whole number from 1",
             lambda value: _number(value) and isinstance(value, Integral) and value >= 1)
SHARE = Kind("a number from 0 to 1", lambda value: _number(value) and 0 <= value <= 1)
DROPOUT = Kind("a number from 0 to below 1", lambda value: _number(value) and 0 <= value < 1)
POSITIVE = Kind("a number above 0", lambda value: _number(value) and value > 0)
FINITE = Kind("a number", _number)
PATH = Kind("a path, str or Path", lambda value: isinstance(value, str | Path))
SWITCH = Kind("True or False", lambda value: isinstance(value, bool))


def check_value(owner: str, name: str, value: Any, kind: Kind) -> None:
    """Raise if a value is not of a kind.

    Args:
        owner: What takes the value, for the message.
        name: Its name there.
        value: The value.
        kind: The expected kind.

    Raises:
        UserError: It is of another one.
    """
    if not kind.has(value):
        raise UserError(f"{owner}: {name}={value!r}; expected {kind.text}.")
