"""Symbolic: text that CloudFormation can only complete when it deploys.

``Symbolic("${OrdersQueue.Arn}")`` is what is left of ``!GetAtt OrdersQueue.Arn``; ``Symbolic("${Stage}-orders")``
of ``!Sub "${Stage}-orders"`` where ``Stage`` has no value.  The notation is that of ``Fn::Sub``.
A plain ``str`` is complete.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

_PLACEHOLDER = re.compile(r"\$\{(?!!)([^}]*)\}")


class Symbolic(str):
    """Text with ``${…}`` placeholders still in it."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Reference:
    """One placeholder: ``logical_id`` of a resource, parameter or pseudo parameter, and the attribute, if any."""

    logical_id: str
    attribute: str | None = None


def escape(text: str) -> str:
    """Literal text as it must stand inside a Symbolic."""
    return text if isinstance(text, Symbolic) else text.replace("${", "${!")


def references(value: Any) -> tuple[Reference, ...]:
    """The placeholders in ``value``, in order; nothing for a value that is complete.  Looks into lists and mappings."""
    if isinstance(value, Symbolic):
        found = []
        for name in _PLACEHOLDER.findall(value):
            logical_id, _, attribute = name.partition(".")
            found.append(Reference(logical_id, attribute or None))
        return tuple(found)
    if isinstance(value, dict):
        return tuple(found for item in value.values() for found in references(item))
    if isinstance(value, list | tuple):
        return tuple(found for item in value for found in references(item))
    return ()
