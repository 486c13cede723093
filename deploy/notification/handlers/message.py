"""The message that says one notification is due: what FindDailyNotifications queues and MessageGenerator reads.

It names the definition and no more, so ten of them always fit into one batch, however long the texts are.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from typing import Any

SCHEMA = 1


class InvalidMessageError(Exception):
    """A message that no retry can mend; it belongs in the dead-letter queue."""


@dataclass(frozen=True, slots=True)
class Due:
    """The notification of that id is due on ``day``."""

    day: date
    notification: str


def write_message(due: Due) -> str:
    """The text of the queue message."""
    return json.dumps({"schema": SCHEMA, "day": due.day.isoformat(), "notification": due.notification})


def parse_message(text: str) -> Due:
    """What ``write_message`` wrote.  Raises InvalidMessageError with what is wrong."""
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidMessageError(f"not JSON: {error}") from None
    if not isinstance(fields, dict):
        raise InvalidMessageError(f"not a JSON object but {type(fields).__name__}")
    if fields.get("schema") != SCHEMA:
        raise InvalidMessageError(f"schema {fields.get('schema')!r} is not {SCHEMA}")
    day: Any = fields.get("day")
    notification = fields.get("notification")
    if not isinstance(notification, str) or not notification:
        raise InvalidMessageError("notification is missing, empty or not a text")
    try:
        return Due(date.fromisoformat(day), notification)
    except (TypeError, ValueError):
        raise InvalidMessageError(f"day {day!r} is not a date like 2026-01-31") from None
