"""The Runs table: of each day, how many notifications are due, which are done, and when the last one was.

Environment: RUNS_TABLE, RETENTION_DAYS.  The item ``#run`` of a day holds the numbers, ``done#<notification>`` says
that one notification is written out for all its users.  Both change in one transaction, so however often a message
comes, its notification counts once.  Whatever breaks between that and the announcement, the message comes again and
finds it still to be made: a day's completion is announced at least once, nearly always exactly once.

RunCompleted counts days that were completed on the day itself: it stands for "today is done", so that a day mended
afterwards does not stand in for a run that is missing.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import date
from typing import Any

from botocore.exceptions import ClientError

from deploy.clients import client
from deploy.metrics import Measured, publish
from deploy.structured_log import log

from .batches import attempts
from .days import day_of, expiry, now
from .message import Due

NAMESPACE = "Notification"
RUN = "#run"
DONE = "done#"
# Some of these are reserved words of DynamoDB, so all are written with a #.
NAMES = {
    name: name.removeprefix("#")
    for name in ("#due", "#done", "#item", "#started_at", "#completed_at", "#announced", "#expires_at")
}


def record_due(day: date, due: int) -> None:
    """Keep how many notifications are due.  A number that changed makes a completed day incomplete again."""
    begun = now()
    sets = (
        "SET #due = :due, #started_at = if_not_exists(#started_at, :now), "
        "#expires_at = if_not_exists(#expires_at, :expires_at)"
    )
    values = {":due": _number(due), ":now": _number(begun), ":expires_at": _number(_expires(day))}
    try:
        _update(day, sets, values, "attribute_not_exists(#due) OR #due = :due")
    except ClientError as error:
        if _code(error) != "ConditionalCheckFailedException":
            raise
        _update(day, f"{sets} REMOVE #completed_at, #announced", values)


def is_done(due: Due) -> bool:
    """Whether the notification is already written out for all its users."""
    key = {"day": {"S": due.day.isoformat()}, "item": {"S": DONE + due.notification}}
    answer = client("dynamodb").get_item(TableName=os.environ["RUNS_TABLE"], Key=key, ConsistentRead=True)
    return "Item" in answer


def mark_done(due: Due) -> bool:
    """Note that the notification is written out, and count it; False if that was noted before.

    Raises ClientError when the table goes on refusing.
    """
    last: ClientError | None = None
    for _ in attempts():
        try:
            client("dynamodb").transact_write_items(TransactItems=_done(due))
        except client("dynamodb").exceptions.TransactionCanceledException as error:
            # Two transactions on the day's one counter: the later is refused and has to come again.
            reasons = [reason.get("Code") for reason in error.response.get("CancellationReasons", ())]
            if "ConditionalCheckFailed" in reasons:
                return False
            last = error
        else:
            return True
    assert last is not None, "there is at least one attempt"
    raise last


def announce(day: date) -> bool:
    """Say that the day's run is completed, if it is and nobody did; whether it was said now.

    On the day itself that is the metric RunCompleted; a day completed later is logged only, and one completed before it
    has begun waits for its own run, which finds everything done.
    """
    if day_of(now()) < day:
        return False
    run = _read(day)
    if "due" not in run or "announced" in run or run.get("done", 0) < run["due"]:
        return False
    due, unchanged = {":due": _number(run["due"])}, "#due = :due"
    try:
        # The moment is kept before it is published, so that whoever has to publish it again says the same.
        moment = {":now": _number(now())}
        kept = _update(day, "SET #completed_at = if_not_exists(#completed_at, :now)", due | moment, unchanged)
        seconds = max(0.0, kept["completed_at"] - kept["started_at"])
        details: dict[str, object] = {"day": day.isoformat(), "due": int(run["due"])}
        if day_of(kept["completed_at"]) == day:
            publish(
                NAMESPACE,
                Measured("RunCompleted", 1),
                Measured("SecondsToReadable", round(seconds, 3), "Seconds"),
                details={**details, "level": "INFO", "event": "run-completed"},
            )
        else:
            log("INFO", "run-of-another-day-completed", {**details, "seconds": round(seconds, 3)})
        _update(day, "SET #announced = :due", due, unchanged)
    except ClientError as error:
        if _code(error) != "ConditionalCheckFailedException":
            raise
        # A run started anew found another number; its own messages will find it completed.
        log("WARN", "run-changed-while-completing", {"day": day.isoformat()})
        return False
    return True


def _done(due: Due) -> list[dict[str, Any]]:
    table, day = os.environ["RUNS_TABLE"], {"S": due.day.isoformat()}
    expires = _number(_expires(due.day))
    marker = {"day": day, "item": {"S": DONE + due.notification}, "expires_at": expires}
    put = {
        "TableName": table,
        "Item": {**marker, "done_at": _number(now())},
        "ConditionExpression": "attribute_not_exists(#item)",
        "ExpressionAttributeNames": {"#item": "item"},
    }
    count = {
        "TableName": table,
        "Key": {"day": day, "item": {"S": RUN}},
        "UpdateExpression": "SET #expires_at = if_not_exists(#expires_at, :expires_at) ADD #done :one",
        "ExpressionAttributeNames": {"#done": "done", "#expires_at": "expires_at"},
        "ExpressionAttributeValues": {":one": _number(1), ":expires_at": expires},
    }
    return [{"Put": put}, {"Update": count}]


def _read(day: date) -> dict[str, float]:
    key = {"day": {"S": day.isoformat()}, "item": {"S": RUN}}
    answer = client("dynamodb").get_item(TableName=os.environ["RUNS_TABLE"], Key=key, ConsistentRead=True)
    return _numbers(answer.get("Item", {}))


def _update(
    day: date, expression: str, values: Mapping[str, Mapping[str, str]], condition: str | None = None
) -> dict[str, float]:
    """Change ``#run`` of the day; what it is afterwards."""
    used = f"{expression} {condition or ''}"
    answer = client("dynamodb").update_item(
        TableName=os.environ["RUNS_TABLE"],
        Key={"day": {"S": day.isoformat()}, "item": {"S": RUN}},
        UpdateExpression=expression,
        ExpressionAttributeNames={name: plain for name, plain in NAMES.items() if name in used},
        ExpressionAttributeValues=dict(values),
        ReturnValues="ALL_NEW",
        **({} if condition is None else {"ConditionExpression": condition}),
    )
    return _numbers(answer["Attributes"])


def _numbers(item: Mapping[str, Mapping[str, str]]) -> dict[str, float]:
    return {name: float(value["N"]) for name, value in item.items() if "N" in value}


def _number(value: float) -> dict[str, str]:
    return {"N": f"{value:.3f}" if isinstance(value, float) and not value.is_integer() else str(int(value))}


def _expires(day: date) -> int:
    return expiry(day, int(os.environ["RETENTION_DAYS"]))


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code"))
