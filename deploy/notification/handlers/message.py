"""The message that says one notification is due, or how far it has been written out: what the queue carries.

It names the definition and no more, so ten of them always fit into one batch, however long the texts are.
Schema 2 added ``after``; messages of schema 1 may still be in the queue when a new version is deployed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from typing import TypeGuard

from .days import parse_day

SCHEMA = 2
READABLE_SCHEMAS = (1, 2)
SYNTHETIC = "synthetic-"
LONGEST_NOTIFICATION = 1013  # bytes: with its day and a # it is a sort key, which DynamoDB allows 1,024


class InvalidMessageError(Exception):
    """A message that no retry can mend; it belongs in the dead-letter queue."""


@dataclass(frozen=True, slots=True)
class Due:
    """The notification of that id is due on ``day``; users up to and including ``after`` have theirs."""

    day: date
    notification: str
    after: str | None = None

    @property
    def synthetic(self) -> bool:
        """Whether it only tries the way; it is not one of the day's run and no promise is measured by it."""
        return self.notification.startswith(SYNTHETIC)


def write_message(due: Due) -> str:
    """The text of the queue message."""
    fields = {"schema": SCHEMA, "day": due.day.isoformat(), "notification": due.notification, "after": due.after}
    return json.dumps(fields)


def parse_message(text: str) -> Due:
    """What ``write_message`` wrote, now or in an older version.  Raises InvalidMessageError with what is wrong."""
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidMessageError(f"not JSON: {error}") from None
    if not isinstance(fields, dict):
        raise InvalidMessageError(f"not a JSON object but {type(fields).__name__}")
    schema = fields.get("schema")
    if type(schema) is not int or schema not in READABLE_SCHEMAS:
        newer = type(schema) is int and schema > SCHEMA
        hint = "; it was written by a newer version: deploy that, then redrive" if newer else ""
        raise InvalidMessageError(f"schema {schema!r} is not one of {READABLE_SCHEMAS}{hint}")
    notification, after = fields.get("notification"), fields.get("after")
    if not _is_text(notification):
        raise InvalidMessageError("notification is missing, empty or not a text")
    if len(notification.encode()) > LONGEST_NOTIFICATION:
        raise InvalidMessageError(f"notification is longer than {LONGEST_NOTIFICATION} bytes")
    if after is not None and not _is_text(after):
        raise InvalidMessageError("after is empty or not a text")
    try:
        return Due(parse_day(fields.get("day")), notification, after)
    except ValueError as error:
        raise InvalidMessageError(f"day {error}") from None


def _is_text(value: object) -> TypeGuard[str]:
    """A text that can be stored: JSON can spell half characters, which have no bytes."""
    return isinstance(value, str) and value != "" and not any("\ud800" <= letter <= "\udfff" for letter in value)
