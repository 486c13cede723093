"""Reading a resource's properties, which may be missing, of the wrong type, or known only when deployed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..cloudformation.symbolic import Symbolic, escape, references
from ..model import Resource
from .entry import Inapplicable, name_of
from .expressions import number

#: More than any of the figures read here can be.
MOST = 1e9
_PLACEHOLDER = re.compile(r"\$\{(?!!)[^}]*\}")


def amount(resource: Resource, name: str, default: float) -> float | None:
    """A property that is a number from 0 to a billion: ``default`` where it is not set, None where it is no such number.

    No duration, size or count that this is asked for goes further; mostly a parameter without a value stands there.
    """
    value = number(resource, name) if resource.properties.get(name) is not None else default
    return value if value is not None and 0 <= value <= MOST else None


def known_when_deployed(what: str) -> Inapplicable:
    """``what`` ("its retention period") hangs on a parameter that has no value."""
    return Inapplicable(f"{what} is only known when it is deployed; give it with --param")


def mappings(value: Any) -> tuple[Mapping[str, Any], ...]:
    """The mappings in a list of mappings, or the one mapping; nothing for anything else."""
    found = value if isinstance(value, list | tuple) else (value,)
    return tuple(item for item in found if isinstance(item, Mapping))


def names(value: Any, resource: Resource) -> bool:
    """Whether ``value`` refers to the resource."""
    return any(found.logical_id == resource.logical_id for found in references(value))


def named_by(value: Any, resource: Resource) -> Resource | None:
    """The one resource of ``resource``'s template that ``value`` refers to; None if there is none or several."""
    found = {reference.logical_id for reference in references(value)} & resource.surroundings.keys()
    return resource.surroundings[found.pop()] if len(found) == 1 else None


def physical_name(value: Any, resource: Resource, *, separators: str = ":/") -> str | None:
    """The name that ``value`` — a reference, a name or an ARN — stands for, as an alarm template writes it.

    A name parameter where ``value`` refers to a resource of the template, plain text where it says the name
    outright, None where only a deployment can tell.
    """
    if not isinstance(value, str) or not value:
        return None
    if target := named_by(value, resource):
        return name_of(target)
    # Colons inside a placeholder separate nothing.
    masked = _PLACEHOLDER.sub(lambda found: "$" * len(found[0]), value) if isinstance(value, Symbolic) else value
    start = 1 + max((masked.rfind(separator) for separator in separators), default=-1)
    if isinstance(value, Symbolic):
        return None if references(Symbolic(value[start:])) else value[start:] or None
    return escape(value[start:]) or None


def is_switched_off(resource: Resource) -> bool:
    """Whether the template disables a rule, a schedule or an event source mapping."""
    return str(resource.properties.get("State")) == "DISABLED" or resource.properties.get("Enabled") in (False, "false")
