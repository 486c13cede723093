"""MessageGenerator: write one record per receiving user for each notification that is due.

Environment: SUBSCRIPTIONS_TABLE, NOTIFICATIONS_TABLE, READABLE_BY, QUEUE_URL, and what runs.py and records.py name.
A topic may have more subscribers than one invocation can reach: when time runs short, a message that says how far it
got takes its place in the queue.  A message that comes twice writes the same records again, or finds them done.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deploy.clients import client
from deploy.metrics import Measured, publish
from deploy.structured_log import log

from . import runs
from .batches import in_batches, in_parallel, send_until_taken
from .days import day_of, epoch, now, parse_clock
from .message import Due, InvalidMessageError, parse_message
from .queueing import queue
from .records import definition, record_of

DYNAMODB_BATCH = 25  # BatchWriteItem takes at most 25 requests
PAGE = 1000  # subscriptions a query; a page that is half used is read again by the next invocation
LONGEST_RESERVE = 15_000  # milliseconds; what may be needed to finish what is begun and to queue the rest


@dataclass(frozen=True, slots=True)
class Progress:
    """What one message came to: users reached, how many of them in time, and who was last if there may be more."""

    users: int = 0
    in_time: int = 0
    after: str | None = None


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """Write out each message of the batch; see ``process`` for what happens to those that fail."""
    remaining: Callable[[], int] = context.get_remaining_time_in_millis
    reserve = min(LONGEST_RESERVE, remaining() // 4)
    return process(event["Records"], lambda: remaining() < reserve, context.aws_request_id)


def process(records: Sequence[Mapping[str, Any]], short: Callable[[], bool], request_id: str) -> dict[str, Any]:
    """Handle each queue record by itself and report the failed ones, which alone go back to the queue.

    A batch of which nothing succeeded raises its last error instead.  The queue treats both alike, but only an error
    counts in Lambda's Errors metric and makes Lambda slow down.
    """
    failed: list[str] = []
    last_error: Exception | None = None
    for index, record in enumerate(records):
        where = {
            "message_id": record["messageId"],
            "receives": record.get("attributes", {}).get("ApproximateReceiveCount"),
            "request_id": request_id,
        }
        try:
            due = parse_message(record["body"])
            where |= {"day": due.day, "notification": due.notification}
            if index and short():
                # Queued anew, because a message that is only handed back would once be taken for a failed one.
                queue([due])
                log("INFO", "message-postponed", where)
            else:
                generate(due, short, where)
        except Exception as error:  # one bad message must not take the others of its batch along
            event = "message-invalid" if isinstance(error, InvalidMessageError) else "message-failed"
            log("ERROR", event, {**where, "error": type(error).__name__, "reason": str(error)})
            failed.append(record["messageId"])
            last_error = error
    if last_error is not None and len(failed) == len(records):
        raise last_error
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}


def generate(due: Due, short: Callable[[], bool], where: Mapping[str, object]) -> None:
    """Write the records of the receiving users, as many as there is time for, and see to the rest and to the run."""
    if not due.synthetic and runs.is_done(due):
        log("INFO", "notification-already-done", where)
        runs.announce(due.day)
        return
    texts = definition(due)
    if texts is None:
        log("INFO", "synthetic-notification-withdrawn", where)
        return
    progress = write_out(due, texts, short)
    if progress.after is not None:
        queue([Due(due.day, due.notification, progress.after)])
    finished = progress.after is None
    details = {**where, "level": "INFO", "event": "notification-generated" if finished else "notification-continues"}
    if due.synthetic:
        log("INFO", "synthetic-notification-generated", {**where, "users": progress.users})
        return
    counted = finished and runs.mark_done(due)
    publish(
        runs.NAMESPACE,
        Measured("NotificationsGenerated", int(counted)),
        Measured("UsersReached", progress.users),
        *punctuality(due, progress),
        details=details,
    )
    if finished:
        runs.announce(due.day)


def punctuality(due: Due, progress: Progress) -> tuple[Measured, ...]:
    """How many records were in time; of another day than today nothing, because nobody waits for those."""
    if due.day != day_of(now()):
        return ()
    return (
        Measured("RecordsOnTime", progress.in_time),
        Measured("RecordsLate", progress.users - progress.in_time),
    )


def write_out(due: Due, texts: Mapping[str, str], short: Callable[[], bool]) -> Progress:
    """Write the records of the users after ``due.after`` until all are written or time is short.

    At least one batch is written, however short the time, so that every message gets further than the one before.
    """
    deadline = epoch(due.day, parse_clock(os.environ["READABLE_BY"]))
    last: list[str] = []

    def batches() -> Iterator[list[str]]:
        for batch in in_batches(subscribers(texts["topic"], due.after), DYNAMODB_BATCH):
            last[:] = batch[-1:]
            yield batch
            if len(batch) == DYNAMODB_BATCH and short():  # a shorter one is the last anyway
                return
        last.clear()

    def write_batch(users: Sequence[str]) -> bool:
        requests: list[Mapping[str, Any]] = [{"PutRequest": {"Item": record_of(due, texts, user)}} for user in users]
        send_until_taken(requests, write)
        return now() <= deadline

    users = in_time = 0
    for batch, timely in in_parallel(batches(), write_batch):
        users += len(batch)
        in_time += len(batch) if timely else 0
    return Progress(users, in_time, last[0] if last else None)


def subscribers(topic: str, after: str | None) -> Iterator[str]:
    """The users who receive a topic, in order, page by page, from the one after ``after``."""
    # An id that begins a range is not part of what is asked for, so the id itself need not be subscribed any more.
    start = {} if after is None else {"ExclusiveStartKey": {"topic": {"S": topic}, "user": {"S": after}}}
    while True:
        page = client("dynamodb").query(
            TableName=os.environ["SUBSCRIPTIONS_TABLE"],
            KeyConditionExpression="#topic = :topic",
            ProjectionExpression="#user",
            ExpressionAttributeNames={"#topic": "topic", "#user": "user"},
            ExpressionAttributeValues={":topic": {"S": topic}},
            Limit=PAGE,
            **start,
        )
        for subscription in page["Items"]:
            yield subscription["user"]["S"]
        if "LastEvaluatedKey" not in page:
            return
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


def write(requests: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Write the records; return those the table did not take this time."""
    table = os.environ["NOTIFICATIONS_TABLE"]
    response = client("dynamodb").batch_write_item(RequestItems={table: list(requests)})
    left: list[Mapping[str, Any]] = response.get("UnprocessedItems", {}).get(table, [])
    return left
