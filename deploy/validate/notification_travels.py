"""A synthetic notification travels from an event to the API, where its user reads it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from deploy.validate.check import Check, CheckFailedError
from deploy.validate.reader import Reader, reader
from deploy.validate.target import NOTIFICATION, Target
from deploy.validate.waiting import wait_for
from deploy.validate.web import Answer
from tocsin.cloud.session import asking

SOURCE, DETAIL_TYPE = "tocsin.validation", "Synthetic notification"
PREFIX = "synthetic-"  # what the systems take for synthetic, and leave out of a day's run

Item = Mapping[str, Mapping[str, str]]


def run(target: Target) -> str:
    """Define it, subscribe its reader, send the event, read it through the API; then take everything away again."""
    who = reader(target)
    day = datetime.now(UTC).date().isoformat()
    # The user of a token is the same at each validation, so it is the notification that must have a name of its own.
    notification = f"{PREFIX}{datetime.now(UTC):%H%M%S%f}"
    with _items(target, who.user, day, notification):
        _send(target, day, notification)
        return _wait(target, who, notification)


def _wait(target: Target, who: Reader, notification: str) -> str:
    last: list[Answer] = []

    def look() -> str | None:
        answer = who.reads(who.user)
        last[:] = [answer]
        if answer.status != 200 or not isinstance(answer.content, dict):
            return None
        found = [one.get("notification") for one in answer.content.get("notifications", ())]
        return notification if notification in found else None

    if wait_for(look, target.patience) is None:
        [answer] = last
        told = f"the API answered {answer.status} {answer.message}".rstrip()
        raise CheckFailedError(
            f"{notification} could not be read after {target.patience:.0f} s; "
            + ("it is not among the user's notifications" if answer.status == 200 else told)
        )
    return f"{notification} read by its user"


def _send(target: Target, day: str, notification: str) -> None:
    detail = {"stack": target.stacks[NOTIFICATION].name, "day": day, "notification": notification}
    with asking("send the event of a synthetic notification"):
        answer = target.client("events").put_events(
            Entries=[{"Source": SOURCE, "DetailType": DETAIL_TYPE, "Detail": json.dumps(detail)}]
        )
    if answer["FailedEntryCount"]:
        failed = answer["Entries"][0]
        raise CheckFailedError(
            f"EventBridge did not take the event: {failed['ErrorCode']} {failed.get('ErrorMessage', '')}"
        )


@contextmanager
def _items(target: Target, user: str, day: str, notification: str) -> Iterator[None]:
    """The definition and the subscription for the length of the block; what came of them goes with them."""
    topic = f"{notification}-{user}"
    texts = {"title": "Validation", "body": "Written to check a deployment; it is deleted again."}
    definition = {"day": day, "notification": notification}
    subscription = {"topic": topic, "user": user}
    made = [("DefinitionsName", definition), ("SubscriptionsName", subscription)]
    try:
        _call(target, "put_item", "DefinitionsName", Item={**definition, "topic": topic, **texts})
        _call(target, "put_item", "SubscriptionsName", Item=subscription)
        yield
    finally:
        made.append(("NotificationsName", {"user": user, "day_notification": f"{day}#{notification}"}))
        for table, key in made:
            _call(target, "delete_item", table, Key=key)


def _call(target: Target, operation: str, output: str, **texts: Any) -> None:
    table = target.output(NOTIFICATION, output)
    arguments = {name: {key: {"S": text} for key, text in item.items()} for name, item in texts.items()}
    with asking(f"{operation.replace('_', ' ')} of a synthetic notification in {table}"):
        getattr(target.client("dynamodb"), operation)(TableName=table, **arguments)


CHECK = Check(
    name="notification-travels",
    holds="a synthetic notification travels from its event to its user",
    mend="follow it: the log of FindDailyNotifications, the queue, the log of MessageGenerator, that of GetNotifications",
    run=run,
)
