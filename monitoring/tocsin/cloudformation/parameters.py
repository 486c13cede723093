"""The values of a template's parameters: what was given, else the default, else Symbolic."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ..errors import InputError, nearest
from .symbolic import Symbolic


def parameter_values(section: Any, given: Mapping[str, str], path: str) -> dict[str, Any]:
    """Each parameter of the template's ``Parameters`` with its value.

    List types become lists, numbers become numbers where their text survives it.  A parameter whose value lives in
    the Systems Manager parameter store stays Symbolic, because the template holds only the name of the place.

    Raises InputError for a given name that the template does not declare, or a value that it does not allow.
    """
    declared = section if isinstance(section, dict) else {}
    for name in sorted(given):
        if name not in declared:
            raise InputError(f"{path}: the template has no parameter {name!r}; {nearest(name, declared)}")
    return {name: _value(name, body, given, path) for name, body in declared.items()}


def _value(name: str, body: Any, given: Mapping[str, str], path: str) -> Any:
    body = body if isinstance(body, dict) else {}
    kind = body.get("Type")
    kind = kind if isinstance(kind, str) else "String"
    allowed = body.get("AllowedValues")
    if name in given:
        value: Any = given[name]
        _refuse_wrong(name, value, kind, allowed, path)
    else:
        value = body.get("Default")
    if value is None or kind.startswith("AWS::SSM::Parameter::Value<"):
        return Symbolic(f"${{{name}}}")
    if kind == "CommaDelimitedList" or kind.startswith("List<"):
        items = value if isinstance(value, list) else [item.strip() for item in as_text(value).split(",")]
        items = [] if items == [""] else items
        return [number(item) for item in items] if kind == "List<Number>" else [literal(as_text(i)) for i in items]
    if isinstance(value, dict | list):  # CloudFormation refuses it; Rain and others do not
        return value
    return number(value) if kind == "Number" else literal(as_text(value))


def _refuse_wrong(name: str, value: str, kind: str, allowed: Any, path: str) -> None:
    items = [item.strip() for item in value.split(",")] if "List" in kind else [value]
    if isinstance(allowed, list) and (wrong := [item for item in items if item not in map(as_text, allowed)]):
        choice = ", ".join(sorted(map(as_text, allowed)))
        raise InputError(f"{path}: the parameter {name} must be one of {choice}; got {wrong[0]!r}")
    if "Number" in kind and (wrong := [item for item in items if isinstance(_parsed(item), str)]):
        raise InputError(f"{path}: the parameter {name} must be a number; got {wrong[0]!r}")


def number(value: Any) -> Any:
    """``value`` as an int or float if turning it back gives the same text, else unchanged."""
    if not isinstance(value, str):
        return value
    parsed = _parsed(value)
    return parsed if str(parsed) == value else value


def _parsed(text: str) -> int | float | str:
    if len(text) > 40:
        return text
    try:
        return int(text)
    except ValueError:
        pass
    try:
        parsed = float(text)
    except ValueError:
        return text
    return parsed if math.isfinite(parsed) else text


def literal(text: str) -> str:
    """Text of the template as a value: a dynamic reference is Symbolic, because only the deployment resolves it."""
    return Symbolic(text.replace("${", "${!")) if "{{resolve:" in text else text


def as_text(value: Any) -> str:
    """A scalar as CloudFormation writes it into text."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)
