"""From a definition and a user to the record that he reads.  Environment: DEFINITIONS_TABLE, RETENTION_DAYS.

Everything in a record follows from these two, its key above all, so writing it again writes the same bytes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from deploy.clients import client

from .days import expiry
from .message import Due, InvalidMessageError

TEXTS = ("topic", "title", "body")
LONGEST_TEXTS = 390 * 1024  # bytes: DynamoDB allows an item 400 KB, and a record also has its keys and their names

Record = dict[str, dict[str, str]]


def definition(due: Due) -> dict[str, str] | None:
    """The texts of the notification's definition; None if a synthetic one is gone, as whoever made it took it back.

    Raises InvalidMessageError when no record can be made of it.
    """
    answer = client("dynamodb").get_item(
        TableName=os.environ["DEFINITIONS_TABLE"],
        Key={"day": {"S": due.day.isoformat()}, "notification": {"S": due.notification}},
        ConsistentRead=True,
    )
    if due.synthetic and "Item" not in answer:
        return None
    return texts_of(due, answer.get("Item"))


def texts_of(due: Due, item: Mapping[str, Mapping[str, object]] | None) -> dict[str, str]:
    """The texts of a stored definition.  Raises InvalidMessageError."""
    name = f"{due.notification!r} on {due.day}"
    if item is None:
        raise InvalidMessageError(f"there is no definition of {name}")
    texts = {text: item.get(text, {}).get("S") for text in TEXTS}
    if missing := [text for text, value in texts.items() if not value]:
        raise InvalidMessageError(f"the definition of {name} has no {', '.join(missing)}")
    found = {text: str(value) for text, value in texts.items()}
    if (size := sum(len(value.encode()) for value in found.values())) > LONGEST_TEXTS:
        raise InvalidMessageError(f"the texts of {name} have {size} bytes; a record takes {LONGEST_TEXTS}")
    return found


def record_of(due: Due, texts: Mapping[str, str], user: str) -> Record:
    """The stored record of one user."""
    day = due.day.isoformat()
    record = {"user": user, "day_notification": f"{day}#{due.notification}", "day": day}
    record |= {"notification": due.notification, **texts}
    expires_at = expiry(due.day, int(os.environ["RETENTION_DAYS"]))
    return {name: {"S": text} for name, text in record.items()} | {"expires_at": {"N": str(expires_at)}}
