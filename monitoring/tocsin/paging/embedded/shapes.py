"""Checks of request bodies: which fields there may be and what each may hold, told by field as Opsgenie does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

Check = Callable[[Any], Mapping[str, str]]
"""What is wrong with a value: by path from it, empty when nothing is; the path "" is the value itself."""


def text(longest: int | None = None, *, empty: bool = True) -> Check:
    """A string of at most so many characters."""

    def check(value: Any) -> Mapping[str, str]:
        if not isinstance(value, str):
            return {"": "must be text"}
        if not empty and not value.strip():
            return {"": "can not be empty."}
        return {"": f"can not be longer than {longest} characters."} if longest and len(value) > longest else {}

    return check


def whole(least: int | None = None, most: int | None = None) -> Check:
    """An integer; true and false are none."""

    def check(value: Any) -> Mapping[str, str]:
        if not isinstance(value, int) or isinstance(value, bool):
            return {"": "must be a whole number"}
        if (least is not None and value < least) or (most is not None and value > most):
            return {"": f"must be between {least} and {most}" if most is not None else f"must be at least {least}"}
        return {}

    return check


def flag(value: Any) -> Mapping[str, str]:
    """True or false."""
    return {} if isinstance(value, bool) else {"": "must be true or false"}


def moment(value: Any) -> Mapping[str, str]:
    """A moment as ISO 8601 writes it, with an offset or ``Z``."""
    try:
        aware = datetime.fromisoformat(value).tzinfo is not None
    except (TypeError, ValueError):
        aware = False
    return {} if aware else {"": "must be a date and time with an offset"}


def one_of(*values: str) -> Check:
    """One of these words."""

    def check(value: Any) -> Mapping[str, str]:
        return {} if value in values else {"": f"must be one of [{', '.join(values)}]"}

    return check


def list_of(item: Check, *, least: int = 0, most: int | None = None) -> Check:
    """A list of such values."""

    def check(value: Any) -> Mapping[str, str]:
        if not isinstance(value, list):
            return {"": "must be a list"}
        if len(value) < least:
            return {"": f"must have at least {least} entries" if least > 1 else "can not be empty."}
        if most is not None and len(value) > most:
            return {"": f"can not have more than {most} entries."}
        return {
            f"[{number}]{'.' if path else ''}{path}": why
            for number, one in enumerate(value)
            for path, why in item(one).items()
        }

    return check


def texts(value: Any) -> Mapping[str, str]:
    """Text by name."""
    if not isinstance(value, dict):
        return {"": "must be an object"}
    return {name: "must be text" for name, one in value.items() if not isinstance(one, str)}


def shape(fields: Mapping[str, Check], required: tuple[str, ...] = ()) -> Check:
    """An object with no other fields than these; None counts as left out."""

    def check(value: Any) -> Mapping[str, str]:
        if not isinstance(value, dict):
            return {"": "must be an object"}
        found = {name: f"Unrecognized field [{name}]" for name in value if name not in fields}
        found |= {name: f"{name} can not be empty." for name in required if value.get(name) is None}
        for name, field in fields.items():
            if value.get(name) is not None:
                for path, why in field(value[name]).items():
                    joint = "" if not path or path.startswith("[") else "."
                    found[f"{name}{joint}{path}"] = f"{name} {why}" if not path else why
        return found

    return check


def by_type(shapes: Mapping[str, Check]) -> Check:
    """An object whose ``type`` says which other fields it has."""

    def check(value: Any) -> Mapping[str, str]:
        if not isinstance(value, dict):
            return {"": "must be an object"}
        kind = str(value.get("type"))
        if kind not in shapes:
            return {"type": f"type must be one of [{', '.join(shapes)}]"}
        return shapes[kind](value)

    return check


_KIND = text()
_NAMED = shape({"type": _KIND, "id": text(), "name": text()})
_USER = shape({"type": _KIND, "id": text(), "username": text()})
_ALONE = shape({"type": _KIND})


def recipient(*kinds: str) -> Check:
    """Whom to tell: a user by ``username`` or id, anything else by ``name`` or id."""
    return by_type({k: _USER if k == "user" else _ALONE if k in ("none", "all") else _NAMED for k in kinds})


OWNER_TEAM = shape({"id": text(), "name": text()})
PRIORITY = one_of("P1", "P2", "P3", "P4", "P5")
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

_HOUR, _MINUTE = whole(0, 23), whole(0, 59)
_TIMES = {"startHour": _HOUR, "startMin": _MINUTE, "endHour": _HOUR, "endMin": _MINUTE}
TIME_RESTRICTION = by_type(
    {
        "time-of-day": shape({"type": _KIND, "restriction": shape(_TIMES, tuple(_TIMES))}, ("restriction",)),
        "weekday-and-time-of-day": shape(
            {
                "type": _KIND,
                "restrictions": list_of(
                    shape(
                        {**_TIMES, "startDay": one_of(*DAYS), "endDay": one_of(*DAYS)}, (*_TIMES, "startDay", "endDay")
                    ),
                    least=1,
                    most=15,
                ),
            },
            ("restrictions",),
        ),
    }
)

OPERATIONS = (
    "matches",
    "contains",
    "starts-with",
    "ends-with",
    "equals",
    "contains-key",
    "contains-value",
    "greater-than",
    "less-than",
    "is-empty",
    "equals-ignore-whitespace",
)
ALERT_FIELDS = (
    "message",
    "alias",
    "description",
    "source",
    "entity",
    "tags",
    "actions",
    "extra-properties",
    "recipients",
    "teams",
    "priority",
    "details",
)


def condition(field: Check) -> Check:
    """One condition of a filter over ``field``."""
    return shape(
        {
            "field": field,
            "key": text(),
            "not": flag,
            "operation": one_of(*OPERATIONS),
            "expectedValue": text(15_000),
            "order": whole(0),
        },
        ("field", "operation"),
    )


def _filter(match: str, field: Check) -> Check:
    conditions = list_of(condition(field), least=1)
    return by_type(
        {
            "match-all": shape({"type": _KIND}),
            "match-any-condition": shape({"type": _KIND, match: conditions}, (match,)),
            "match-all-conditions": shape({"type": _KIND, match: conditions}, (match,)),
        }
    )


ALERT_FILTER = _filter("conditions", one_of(*ALERT_FIELDS))
ACTION_FILTER = shape(
    {
        "conditionMatchType": one_of("match-all", "match-any-condition", "match-all-conditions"),
        "conditions": list_of(condition(text(empty=False))),
    }
)
