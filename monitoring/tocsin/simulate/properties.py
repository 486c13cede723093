"""Takes single values out of the properties of a resource, and says what is wrong with one that cannot be used."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Any, TypeVar

from ..cloudformation.symbolic import Symbolic, escape
from ..errors import SimulationError

_Choice = TypeVar("_Choice", bound=StrEnum)


def text(value: Any) -> str | None:
    """Text in the notation of ``Fn::Sub``."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        return str(value)
    return escape(value) if isinstance(value, str) else None


def number(value: Any, what: str) -> float:
    """A finite number.  Raises SimulationError, also for a parameter without a value."""
    known(value, what)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise SimulationError(f"{what} is missing or not a number")
    try:
        found = float(value)
    except (ValueError, OverflowError):
        found = math.nan
    if not math.isfinite(found):
        raise SimulationError(f"{what} is not a number: {str(value)[:40]!r}")
    return found


def integer(value: Any, what: str) -> int:
    """A whole number.  Raises SimulationError."""
    found = number(value, what)
    if not found.is_integer():
        raise SimulationError(f"{what} is not a whole number: {value}")
    return int(found)


def boolean(value: Any, what: str) -> bool:
    """True or false.  Raises SimulationError."""
    known(value, what)
    if isinstance(value, bool):
        return value
    if str(value).lower() in ("true", "false"):
        return str(value).lower() == "true"
    raise SimulationError(f"{what} is neither true nor false")


def choice(kind: type[_Choice], value: Any, what: str) -> _Choice:
    """One of the values of an enumeration.  Raises SimulationError."""
    try:
        return kind(value)
    except ValueError:
        known(value, what)
        raise SimulationError(f"{what} {value!r} is not evaluated; it is one of {', '.join(kind)}") from None


def known(value: Any, what: str) -> None:
    """Raises SimulationError if only CloudFormation knows the value."""
    if isinstance(value, Symbolic):
        raise SimulationError(f"{what} is {value}, which is not known; give the parameter a value")
