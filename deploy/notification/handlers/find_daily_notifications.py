"""FindDailyNotifications: once a day, queue one message for each notification that is due.

Environment: DEFINITIONS_TABLE, QUEUE_URL.  A run that is started twice queues everything twice, which does no harm:
MessageGenerator writes the same records again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

from deploy.clients import client
from deploy.structured_log import log

from .batches import in_batches, send_until_taken
from .message import Due, write_message

SQS_BATCH = 10  # SendMessageBatch takes at most ten entries


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """Queue what is due on the day of the event; raises when anything could not be queued, so that Lambda tries again."""
    day = day_of(event)
    queued = 0
    for batch in in_batches(due_on(day), SQS_BATCH):
        entries: list[Mapping[str, str]] = [
            {"Id": str(index), "MessageBody": write_message(due)} for index, due in enumerate(batch)
        ]
        send_until_taken(entries, send)
        queued += len(batch)
    log("INFO", "notifications-queued", {"day": day, "queued": queued, "request_id": context.aws_request_id})
    return {"day": day.isoformat(), "queued": queued}


def day_of(event: Mapping[str, Any]) -> date:
    """The day to look at: ``day`` when a person starts the run, else the UTC date of the schedule's ``time``."""
    text = event.get("day") or str(event.get("time", ""))[:10]
    try:
        return date.fromisoformat(text)
    except (TypeError, ValueError):
        raise ValueError(f'the event has no usable date: pass {{"day": "2026-01-31"}}, not {text!r}') from None


def due_on(day: date) -> Iterator[Due]:
    """The notifications due on that day, page by page."""
    query = client("dynamodb").get_paginator("query")
    pages = query.paginate(
        TableName=os.environ["DEFINITIONS_TABLE"],
        KeyConditionExpression="#day = :day",
        ProjectionExpression="#notification",
        ExpressionAttributeNames={"#day": "day", "#notification": "notification"},
        ExpressionAttributeValues={":day": {"S": day.isoformat()}},
    )
    for page in pages:
        for item in page["Items"]:
            yield Due(day, item["notification"]["S"])


def send(entries: Sequence[Mapping[str, str]]) -> list[Mapping[str, str]]:
    """Queue the entries; return those the queue did not take this time.  Raises ValueError for one it never will."""
    response = client("sqs").send_message_batch(QueueUrl=os.environ["QUEUE_URL"], Entries=list(entries))
    refused = {failure["Id"]: failure for failure in response.get("Failed", ())}
    for failure in refused.values():
        if failure["SenderFault"]:
            raise ValueError(f"the queue refuses a message: {failure['Code']} {failure.get('Message', '')}")
    return [entry for entry in entries if entry["Id"] in refused]
