"""What has been delivered and what is newest, in a table: once is enough, and the newest state has the last word.

Environment: TABLE.  One item for each change of state that was delivered, and the item ``newest`` of each alarm, which
only ever moves forward.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from datetime import UTC

from botocore.exceptions import ClientError

from deploy.clients import client
from tocsin.paging.alert import Alert

NEWEST = "newest"
# A message lies in the queue and then in the redrive queue for 14 days each; for longer nothing can come twice.
KEPT_SECONDS = 30 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Remembered:
    """The newest change of an alarm that anybody began to deliver, with CloudWatch's message as it came."""

    change: str
    message: str


def change_of(alert: Alert) -> str:
    """What a change of state is known by: when, so that later sorts after, and into which state."""
    return f"{alert.changed_at.astimezone(UTC).isoformat(timespec='microseconds')}#{alert.state}"


def was_delivered(alarm: str, change: str) -> bool:
    """Whether this very change was delivered to the end."""
    found = client("dynamodb").get_item(TableName=os.environ["TABLE"], Key=_key(alarm, change), ConsistentRead=True)
    return "Item" in found


def claim(alarm: str, change: str, message: str) -> None:
    """Say that a change is about to be delivered: from now on it is the newest, unless a newer one is known."""
    try:
        client("dynamodb").put_item(
            TableName=os.environ["TABLE"],
            Item={**_key(alarm, NEWEST), "newest": {"S": change}, "message": {"S": message}, **_expiry()},
            ConditionExpression="attribute_not_exists(newest) OR newest < :change",
            ExpressionAttributeValues={":change": {"S": change}},
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
            raise


def newest(alarm: str) -> Remembered | None:
    """The newest change that was claimed, as the table is at this moment."""
    found = client("dynamodb").get_item(TableName=os.environ["TABLE"], Key=_key(alarm, NEWEST), ConsistentRead=True)
    item = found.get("Item")
    return Remembered(item["newest"]["S"], item["message"]["S"]) if item else None


def mark_delivered(alarm: str, change: str) -> None:
    """Remember that a change was delivered to the end."""
    client("dynamodb").put_item(TableName=os.environ["TABLE"], Item={**_key(alarm, change), **_expiry()})


def _key(alarm: str, change: str) -> dict[str, dict[str, str]]:
    return {"alarm": {"S": alarm}, "change": {"S": change}}


def _expiry() -> dict[str, dict[str, str]]:
    return {"expires_at": {"N": str(int(time.time()) + KEPT_SECONDS)}}
