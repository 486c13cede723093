"""Writes out ``Fn::ForEach``.

Source: AWS CloudFormation template reference, Fn::ForEach (transform AWS::LanguageExtensions).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .parameters import as_text
from .symbolic import Symbolic, references

PREFIX = "Fn::ForEach"
VALUE_WORK = 10  # what one value made counts for, beside 1 for each character of text
_NOT_ALPHANUMERIC = re.compile(r"[^0-9A-Za-z]")


@dataclass(frozen=True, slots=True)
class StuckLoop:
    """A loop that cannot be written out: its key, why, and what it would have repeated."""

    key: str
    reason: str
    body: Any


def unroll(
    mapping: dict[str, Any],
    evaluate: Callable[[Any], Any],
    spend: Callable[[int], None],
) -> tuple[dict[str, Any], tuple[StuckLoop, ...]]:
    """``mapping`` with the loops among its keys written out, nested ones too; deeper mappings are left alone.

    ``evaluate`` resolves a collection, ``spend`` is told the work done, and may refuse.
    """
    done: dict[str, Any] = {}
    stuck: list[StuckLoop] = []
    for key, value in mapping.items():
        if not key.startswith(PREFIX):
            done[key] = value
            continue
        if not (
            isinstance(value, list) and len(value) == 3 and isinstance(value[0], str) and isinstance(value[2], dict)
        ):
            stuck.append(StuckLoop(key, "it is not a list of an identifier, a collection and a body", value))
            continue
        identifier, collection, body = value
        items = _items(evaluate(collection))
        if isinstance(items, str):
            stuck.append(StuckLoop(key, items, body))
            continue
        for item in items:
            copy = _Replacement(identifier, item, spend).of(body)
            written, inner = unroll(copy, evaluate, spend)
            done |= written
            stuck += inner
    return done, tuple(stuck)


def _items(collection: Any) -> list[str] | str:
    """The values to loop over, or why they are not known."""
    if not isinstance(collection, list) and not isinstance(collection, Symbolic):
        return "it does not loop over a list"
    unknown = references(collection)
    if unknown or isinstance(collection, Symbolic):
        names = sorted({reference.logical_id for reference in unknown if not reference.logical_id.startswith("Fn::")})
        what = f" without {', '.join(names)}" if names else ""
        return f"the values it loops over are not known{what}"
    flat: list[str] = []
    for item in collection:
        for value in item if isinstance(item, list) else [item]:
            if isinstance(value, dict | list):
                return "it loops over something other than text"
            if isinstance(value, Symbolic):
                return "the values it loops over are not known"
            flat.append(as_text(value))
    return flat


class _Replacement:
    """Puts one item of the collection in place of the loop's identifier."""

    def __init__(self, identifier: str, item: str, spend: Callable[[int], None]) -> None:
        self.identifier, self.item, self.spend = identifier, item, spend
        self.forms = (
            (f"${{{identifier}}}", item),
            (f"&{{{identifier}}}", _NOT_ALPHANUMERIC.sub("", item)),
        )

    def of(self, node: Any) -> Any:
        self.spend(VALUE_WORK)
        if isinstance(node, str):
            return self.text(node)
        if isinstance(node, list):
            return [self.of(item) for item in node]
        if isinstance(node, dict):
            if len(node) == 1 and node.get("Ref") == self.identifier:
                return self.item
            return {self.text(key): self.of(value) for key, value in node.items()}
        return node

    def text(self, text: str) -> str:
        if "{" in text:
            for form, value in self.forms:
                if form in text:
                    text = text.replace(form, value)
                    self.spend(len(text))
        return text
