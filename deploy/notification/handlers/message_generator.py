"""MessageGenerator: write one record per receiving user for each notification that is due.

Environment: DEFINITIONS_TABLE, SUBSCRIPTIONS_TABLE, NOTIFICATIONS_TABLE, RETENTION_DAYS.  Everything in a record
follows from the definition and the subscription, its key above all, so a message that comes twice writes the same
records again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Any

from deploy.clients import client
from deploy.structured_log import log

from .batches import in_batches, send_until_taken
from .message import Due, InvalidMessageError, parse_message

DYNAMODB_BATCH = 25  # BatchWriteItem takes at most 25 requests
TEXTS = ("topic", "title", "body")


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """Write out each message of the batch; see ``process`` for what happens to those that fail."""
    return process(event["Records"], generate, context.aws_request_id)


def process(records: Sequence[Mapping[str, Any]], generate: Callable[[Due], int], request_id: str) -> dict[str, Any]:
    """Handle each queue record by itself and report the failed ones, which alone go back to the queue.

    A batch of which nothing succeeded raises its last error instead.  The queue treats both alike, but only an error
    counts in Lambda's Errors metric and makes Lambda slow down.
    """
    failed: list[str] = []
    last_error: Exception | None = None
    for record in records:
        where = {
            "message_id": record["messageId"],
            "receives": record.get("attributes", {}).get("ApproximateReceiveCount"),
            "request_id": request_id,
        }
        try:
            due = parse_message(record["body"])
            reached = generate(due)
        except Exception as error:  # one bad message must not take the others of its batch along
            event = "message-invalid" if isinstance(error, InvalidMessageError) else "message-failed"
            log("ERROR", event, {**where, "error": type(error).__name__, "reason": str(error)})
            failed.append(record["messageId"])
            last_error = error
        else:
            log("INFO", "notification-generated", {**where, "notification": due.notification, "users": reached})
    if last_error is not None and len(failed) == len(records):
        raise last_error
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}


def generate(due: Due) -> int:
    """Write the records of all receiving users; return how many users were reached."""
    texts = definition(due)
    retention = timedelta(days=int(os.environ["RETENTION_DAYS"]))
    users = 0
    for batch in in_batches(subscribers(texts["topic"]), DYNAMODB_BATCH):
        requests: list[Mapping[str, Any]] = [
            {"PutRequest": {"Item": record_of(due, texts, user, retention)}} for user in batch
        ]
        send_until_taken(requests, write)
        users += len(batch)
    return users


def definition(due: Due) -> dict[str, str]:
    """The texts of the notification's definition.  Raises InvalidMessageError when there is none or it lacks one."""
    answer = client("dynamodb").get_item(
        TableName=os.environ["DEFINITIONS_TABLE"],
        Key={"day": {"S": due.day.isoformat()}, "notification": {"S": due.notification}},
        ConsistentRead=True,
    )
    return texts_of(due, answer.get("Item", {}))


def texts_of(due: Due, item: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """The texts of a stored definition."""
    texts = {name: item.get(name, {}).get("S") for name in TEXTS}
    if missing := [name for name, text in texts.items() if not text]:
        raise InvalidMessageError(f"the definition of {due.notification!r} on {due.day} has no {', '.join(missing)}")
    return {name: str(text) for name, text in texts.items()}


def subscribers(topic: str) -> Iterator[str]:
    """The users who receive a topic, page by page."""
    query = client("dynamodb").get_paginator("query")
    pages = query.paginate(
        TableName=os.environ["SUBSCRIPTIONS_TABLE"],
        KeyConditionExpression="#topic = :topic",
        ProjectionExpression="#user",
        ExpressionAttributeNames={"#topic": "topic", "#user": "user"},
        ExpressionAttributeValues={":topic": {"S": topic}},
    )
    for page in pages:
        for subscription in page["Items"]:
            yield subscription["user"]["S"]


def record_of(due: Due, texts: Mapping[str, str], user: str, retention: timedelta) -> dict[str, dict[str, str]]:
    """The stored record; it expires ``retention`` after the start of its day (UTC)."""
    expires = datetime.combine(due.day, time(), UTC) + retention
    day = due.day.isoformat()
    record = {"user": user, "day_notification": f"{day}#{due.notification}", "day": day}
    record |= {"notification": due.notification, **texts}
    return {name: {"S": text} for name, text in record.items()} | {"expires_at": {"N": str(int(expires.timestamp()))}}


def write(requests: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Write the records; return those the table did not take this time."""
    table = os.environ["NOTIFICATIONS_TABLE"]
    response = client("dynamodb").batch_write_item(RequestItems={table: list(requests)})
    left: list[Mapping[str, Any]] = response.get("UnprocessedItems", {}).get(table, [])
    return left
