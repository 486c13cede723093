"""Filters: whether an alert, or a message, is what a routing rule or an integration's action is for."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from .alert_book import AlertRecord

Values = Callable[[str, str], list[str]]
"""The values of a field; the second argument is the key within it, empty for none."""


def fits(criteria: Mapping[str, Any] | None, values: Values, match: str = "type") -> bool:
    """Whether a filter lets something through; ``match`` is the filter's field that says how conditions are joined."""
    kind = (criteria or {}).get(match, "match-all")
    conditions = (criteria or {}).get("conditions") or []
    if kind == "match-all":
        return True
    results = (_holds(condition, values) for condition in conditions)
    return any(results) if kind == "match-any-condition" else all(results)


def values_of(record: AlertRecord, team_names: Callable[[str], str]) -> Values:
    """The fields of an alert by the names that conditions use."""
    recipients = [one.get("username") or one.get("name") or one.get("id", "") for one in record.responders]
    teams = [team_names(one["id"]) for one in record.responders if one["type"] == "team" and one.get("id")]
    lists = {"tags": record.tags, "actions": record.actions, "recipients": recipients, "teams": teams}
    plain = {
        "message": record.message,
        "alias": record.alias,
        "description": record.description,
        "source": record.source,
        "entity": record.entity,
        "priority": record.priority,
    }

    def values(field: str, key: str) -> list[str]:
        if field in ("extra-properties", "details"):
            return [record.details[key]] if key in record.details else [] if key else list(record.details)
        return lists[field] if field in lists else [plain.get(field, "")]

    return values


def _holds(condition: Mapping[str, Any], values: Values) -> bool:
    found = values(condition["field"], condition.get("key", ""))
    expected, operation = condition.get("expectedValue", ""), condition["operation"]
    results = [_compares(operation, value, expected) for value in found]
    return (any(results) if operation != "is-empty" else not any(found)) != bool(condition.get("not", False))


def _compares(operation: str, value: str, expected: str) -> bool:
    if operation in ("greater-than", "less-than"):
        left, right = _rank(value), _rank(expected)
        return (
            left is not None and right is not None and (left > right if operation == "greater-than" else left < right)
        )
    if operation == "matches":
        try:
            return re.fullmatch(expected, value, re.DOTALL) is not None
        except re.error:
            return False
    if operation == "equals-ignore-whitespace":
        return "".join(value.split()) == "".join(expected.split())
    comparisons: Mapping[str, bool] = {
        "is-empty": not value,
        "contains": expected in value,
        "starts-with": value.startswith(expected),
        "ends-with": value.endswith(expected),
        "equals": value == expected,
        "contains-key": value == expected,
        "contains-value": expected in value,
    }
    return comparisons[operation]


def _rank(value: str) -> float | None:
    """A number; of two priorities P1 is the greater one."""
    if re.fullmatch(r"P[1-5]", value):
        return -float(value[1])
    try:
        return float(value)
    except ValueError:
        return None
