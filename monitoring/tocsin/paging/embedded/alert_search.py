"""Queries over alerts, as far as Opsgenie's search language is used here.

``status: open AND (priority: P1 OR tag: "drill") AND NOT acknowledged: true``; a word without a field is looked for in
the message; ``*`` stands for anything.  https://support.atlassian.com/opsgenie/docs/search-queries-for-alerts/
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from fnmatch import fnmatchcase

from ..past_alerts import milliseconds
from .alert_book import AlertRecord

Test = Callable[[AlertRecord], bool]

_TOKEN = re.compile(r'\s*(?:(\()|(\))|([A-Za-z][\w.]*)\s*(:|>=|<=|>|<|=)\s*("[^"]*"|[^\s()]+)|("[^"]*"|[^\s()]+))')
_FIELDS: Mapping[str, Callable[[AlertRecord], list[str]]] = {
    "status": lambda record: [record.status],
    "alias": lambda record: [record.alias],
    "alertid": lambda record: [record.id],
    "tinyid": lambda record: [record.tiny_id],
    "message": lambda record: [record.message],
    "description": lambda record: [record.description],
    "priority": lambda record: [record.priority],
    "tag": lambda record: record.tags,
    "tags": lambda record: record.tags,
    "entity": lambda record: [record.entity],
    "source": lambda record: [record.source],
    "owner": lambda record: [record.acknowledged_by],
    "acknowledged": lambda record: [str(record.acknowledged).lower()],
    "count": lambda record: [str(record.count)],
    "createdat": lambda record: [str(milliseconds(record.created_at))],
    "lastoccurredat": lambda record: [str(milliseconds(record.last_occurred_at or record.created_at))],
    "details.key": lambda record: list(record.details),
    "details.value": lambda record: list(record.details.values()),
    "teams": lambda record: [str(one.get("name", "")) for one in record.responders if one["type"] == "team"],
}
_PARTS = ("message", "description", "details.value")  # a word within is enough


class UnreadableQuery(ValueError):  # noqa: N818  # an answer to a person
    """A query that cannot be read; its text says where."""


def search(query: str) -> Test:
    """What a query asks of an alert; the empty one takes all.  Raises UnreadableQuery."""
    if not query.strip():
        return lambda record: True
    reader = _Reader(query)
    test = reader.either()
    if reader.tokens:
        raise UnreadableQuery(f"cannot be read from {reader.tokens[0].group().strip()!r}")
    return test


class _Reader:
    """Reads by descent: OR binds less than AND, AND less than NOT."""

    def __init__(self, query: str) -> None:
        self.tokens: list[re.Match[str]] = []
        at = 0
        while at < len(query.rstrip()):
            token = _TOKEN.match(query, at)
            if token is None:
                raise UnreadableQuery(f"cannot be read from {query[at:].strip()[:40]!r}")
            self.tokens.append(token)
            at = token.end()

    def either(self) -> Test:
        tests = [self._all()]
        while self._take("OR"):
            tests.append(self._all())
        return lambda record: any(test(record) for test in tests)

    def _all(self) -> Test:
        tests = [self._one()]
        while self._take("AND") or (self.tokens and not self._ahead("OR") and not self.tokens[0][2]):
            tests.append(self._one())
        return lambda record: all(test(record) for test in tests)

    def _one(self) -> Test:
        if self._take("NOT"):
            inverted = self._one()
            return lambda record: not inverted(record)
        if not self.tokens:
            raise UnreadableQuery("ends where something should follow")
        token = self.tokens.pop(0)
        if token[1]:
            inner = self.either()
            if not self.tokens or not self.tokens.pop(0)[2]:
                raise UnreadableQuery("a bracket is not closed")
            return inner
        if token[2]:
            raise UnreadableQuery("a bracket closes that was not opened")
        if token[3]:
            return _field(token[3], token[4], token[5].strip('"'))
        return _field("message", ":", token[6].strip('"'))

    def _ahead(self, word: str) -> bool:
        return bool(self.tokens) and (self.tokens[0][6] or "").upper() == word

    def _take(self, word: str) -> bool:
        if self._ahead(word):
            self.tokens.pop(0)
            return True
        return False


def _field(name: str, operation: str, wanted: str) -> Test:
    values = _FIELDS.get(name.lower())
    if values is None:
        raise UnreadableQuery(f"knows no field {name!r}")
    if operation in (":", "="):
        pattern = wanted.lower()
        if name.lower() in _PARTS:
            pattern = f"*{pattern}*"
        # A bracket is a letter like any other.
        pattern = pattern.replace("[", "[[]")
        return lambda record: any(fnmatchcase(value.lower(), pattern) for value in values(record))
    number = _number(wanted)
    return lambda record: any(
        _compares(operation, float(value), number) for value in values(record) if _is_number(value)
    )


def _compares(operation: str, left: float, right: float) -> bool:
    return {">": left > right, "<": left < right, ">=": left >= right, "<=": left <= right}[operation]


def _number(text: str) -> float:
    """A number, or a date as ``21-11-2026`` in milliseconds."""
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return datetime.strptime(text, "%d-%m-%Y").replace(tzinfo=UTC).timestamp() * 1000
    except ValueError:
        raise UnreadableQuery(f"{text!r} is neither a number nor a date") from None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
