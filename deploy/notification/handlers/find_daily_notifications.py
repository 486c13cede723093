"""FindDailyNotifications: once a day, queue one message for each notification that is due.

Environment: DEFINITIONS_TABLE, RUNS_TABLE, QUEUE_URL, RETENTION_DAYS.  How many are due is recorded before the first is
queued, so that whoever writes out the last one can know it.  A run that is started twice queues everything twice,
which does no harm: MessageGenerator finds what is already done.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from deploy.clients import client
from deploy.metrics import Measured, publish
from deploy.structured_log import log

from . import runs
from .batches import in_batches, in_parallel
from .days import parse_day
from .message import SYNTHETIC, Due
from .queueing import BATCH, queue

VALIDATION = ("tocsin.validation", "Synthetic notification")  # source and detail-type of the event that asks for one


@dataclass(frozen=True, slots=True)
class Order:
    """What an event asks for: the run of ``day``, or of that day only the ``synthetic`` notification."""

    day: date
    synthetic: str | None = None


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """Queue what the event asks for; raises when anything could not be queued, so that Lambda tries again."""
    order = parse_event(event)
    where = {"day": order.day, "request_id": context.aws_request_id}
    if order.synthetic is not None:
        queue([Due(order.day, order.synthetic)])
        log("INFO", "synthetic-notification-queued", {**where, "notification": order.synthetic})
        return {"day": order.day.isoformat(), "queued": 1}
    due = list(due_on(order.day))
    runs.record_due(order.day, len(due))
    for _ in in_parallel(in_batches(due, BATCH), queue):
        pass
    publish(
        runs.NAMESPACE,
        Measured("NotificationsDue", len(due)),
        details={"level": "INFO", "event": "notifications-queued", **where},
    )
    if not due:
        runs.announce(order.day)
    return {"day": order.day.isoformat(), "queued": len(due)}


def parse_event(event: Mapping[str, Any]) -> Order:
    """The order in a synthetic run's event, a person's ``{"day": …}`` or the schedule's ``time``.  Raises ValueError."""
    if (event.get("source"), event.get("detail-type")) == VALIDATION:
        detail = event.get("detail") or {}
        notification = detail.get("notification")
        if not isinstance(notification, str) or not notification.startswith(SYNTHETIC):
            raise ValueError(f"a synthetic notification's id begins with {SYNTHETIC!r}, unlike {notification!r}")
        return Order(parse_day(detail.get("day")), notification)
    given = event["day"] if "day" in event else str(event.get("time", ""))[:10]
    try:
        return Order(parse_day(given))
    except ValueError:
        raise ValueError(f'the event has no usable date: pass {{"day": "2026-01-31"}}, not {given!r}') from None


def due_on(day: date) -> Iterator[Due]:
    """The notifications due on that day, page by page, without those that only try the way."""
    query = client("dynamodb").get_paginator("query")
    pages = query.paginate(
        TableName=os.environ["DEFINITIONS_TABLE"],
        KeyConditionExpression="#day = :day",
        ProjectionExpression="#notification",
        ExpressionAttributeNames={"#day": "day", "#notification": "notification"},
        ExpressionAttributeValues={":day": {"S": day.isoformat()}},
        ConsistentRead=True,
    )
    for page in pages:
        for item in page["Items"]:
            due = Due(day, item["notification"]["S"])
            if not due.synthetic:
                yield due
