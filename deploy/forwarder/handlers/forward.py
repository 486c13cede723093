"""Forwarder: tell the on-call tool of each change of an alarm's state that comes through the queue.

Environment: QUEUE_URL, REDRIVE_URL, and what routes.py, memory.py and self_test.py name.
Every change is delivered at least once.  What fails for now is given back to the queue, which waits longer each time;
what fails for good is put into the redrive queue at once, with the reason in the log.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from deploy.clients import client
from deploy.metrics import Measured, publish
from deploy.structured_log import log
from tocsin.errors import InputError
from tocsin.paging.alert import Alert, alert_of

from . import budget, memory
from .failures import DeliveryError, KeyRefusedError, RefusedError, TryLaterError
from .post import send
from .routes import code_of, delivery, secret_of
from .self_test import NAMESPACE, self_test
from .tools import call_of, judge, target_of

FIRST_WAIT, LONGEST_WAIT, MOST_PATIENCE = 5, 300, 3600
"""Seconds a failed message is hidden: doubled each time up to the longest; what a tool asks for, up to the last."""

ENOUGH_MILLISECONDS = 25_000
"""What one message may take at worst: two calls of eight seconds, the budget's two, a secret and the table."""

MOST_TURNS = 10
"""How often the newest state is told again while it keeps changing; alarms change once a minute at most."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message of the queue that tells of an alarm."""

    id: str
    receipt: str
    receives: int
    body: str
    topic: str
    text: str
    """CloudWatch's notification, as it came."""
    alert: Alert

    @property
    def alarm(self) -> str:
        """What its changes are remembered under: an alarm may tell two topics."""
        return f"{self.topic.rpartition(':')[2]}#{self.alert.alias}"

    @property
    def where(self) -> dict[str, object]:
        """What a log line names it by."""
        return {
            "message_id": self.id,
            "receives": self.receives,
            "alarm": self.alert.alias,
            "state": self.alert.state,
            "changed_at": self.alert.changed_at.isoformat(),
            "topic": self.topic.rpartition(":")[2],
        }


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """Deliver a batch: alarms side by side, the changes of one alarm in their order.  Failed messages are reported."""
    remaining: Callable[[], int] = context.get_remaining_time_in_millis
    failed: list[str] = []
    by_alarm: dict[str, list[Message]] = {}
    test_due = False
    for record in event["Records"]:
        try:
            message = read_message(record)
        except RefusedError as error:
            failed += _given_up(record["messageId"], record["body"], error, {"message_id": record["messageId"]})
        else:
            if message is None:
                test_due = True
            else:
                by_alarm.setdefault(message.alarm, []).append(message)
    if by_alarm:
        with ThreadPoolExecutor(len(by_alarm)) as pool:
            for lost in pool.map(lambda changes: _in_order(changes, remaining), by_alarm.values()):
                failed += lost
    if test_due:
        _test(remaining)  # last: a page must not wait for it
    return {"batchItemFailures": [{"itemIdentifier": each} for each in failed]}


def read_message(record: Mapping[str, Any]) -> Message | None:
    """A record of the queue; None for the scheduled self-test.  Raises RefusedError for what nobody can make sense of."""
    try:
        body = json.loads(record["body"])
        if body.get("self_test") is True:
            return None
        topic, text = str(body["TopicArn"]), str(body["Message"])
        alert = alert_of(json.loads(text), os.environ.get("AWS_REGION", ""))
    except (ValueError, KeyError, AttributeError, TypeError, InputError) as error:
        raise RefusedError(
            f"not a message of SNS with a notification of CloudWatch's ({type(error).__name__}): the subscription needs "
            "raw message delivery off"
        ) from None
    receives = int(record.get("attributes", {}).get("ApproximateReceiveCount", 1))
    return Message(record["messageId"], record["receiptHandle"], receives, record["body"], topic, text, alert)


def _in_order(changes: Sequence[Message], remaining: Callable[[], int]) -> list[str]:
    """Deliver the changes of one alarm, oldest first; the ids of those that go back to the queue."""
    failed = []
    ordered = sorted(changes, key=lambda each: (memory.change_of(each.alert), each.id))
    for number, message in enumerate(ordered):
        if number and remaining() < ENOUGH_MILLISECONDS:
            failed += _given_back(message, TryLaterError("there was no time left for it"))
            continue
        try:
            deliver(message)
        except RefusedError as error:
            failed += _given_up(message.id, message.body, error, message.where)
        except (DeliveryError, ClientError, BotoCoreError) as error:
            failed += _given_back(message, error)
        except Exception as error:  # whatever it is, it must not take other alarms' pages along
            failed += _given_back(message, error)
    return failed


def deliver(message: Message) -> None:
    """Tell the tool of one change, and let the newest change have the last word.

    The newest change is claimed before it is told.  Whoever has told anything then looks whether a newer one is claimed,
    and tells that again: so an ALARM that arrives after its OK is told and closed again, and of two deliveries at once
    the newer one wins, whoever is faster.  Raises DeliveryError and what boto3 raises.
    """
    alert, change = message.alert, memory.change_of(message.alert)
    if alert.state not in ("ALARM", "OK"):
        log("INFO", "state-not-told", message.where)  # missing data opens and closes nothing
        return
    if memory.was_delivered(message.alarm, change):
        log("INFO", "duplicate-not-told", message.where)
        return
    complete = budget.begin(alert)
    memory.claim(message.alarm, change, message.text)
    newest = memory.newest(message.alarm)
    if alert.state == "OK" and newest is not None and newest.change > change and newest.change.endswith("#ALARM"):
        # It would close the alert of the ALARM after it, which is open and somebody's.
        log("WARN", "ok-superseded", {**message.where, "newest": newest.change})
    else:
        told = tell(complete(), message.topic)
        _settle(message, change)
        seconds = (datetime.now(UTC) - alert.changed_at).total_seconds()
        log("INFO", "told", {**message.where, "answer": told, "seconds": round(seconds, 3), "drill": alert.drill})
    memory.mark_delivered(message.alarm, change)


def _settle(message: Message, told: str) -> None:
    for _ in range(MOST_TURNS):
        newest = memory.newest(message.alarm)
        if newest is None or newest.change <= told:
            return
        log("WARN", "newest-told-again", {**message.where, "newest": newest.change})
        tell(alert_of(json.loads(newest.message), os.environ.get("AWS_REGION", "")), message.topic)
        told = newest.change
    raise TryLaterError(f"the alarm's state changed {MOST_TURNS} times while it was told")


def tell(alert: Alert, topic: str) -> str:
    """Open or close the alert at the tool that the topic's secret names; what it answered.  Raises DeliveryError.

    A key that is refused is read again once: it may have been changed within the minutes that secrets are kept.  One that
    is refused then, too, has been revoked: the alert is kept and tried until somebody has mended that.
    """
    secret = secret_of(topic)
    for anew in (False, True):
        target = target_of(delivery(secret, anew=anew))
        try:
            return judge(send(call_of(alert, target, datetime.now(UTC))), target, alert)
        except KeyRefusedError as error:
            if anew:
                raise KeyRefusedError(
                    f"{error}; see secret {secret}, run `tocsin oncall apply`: the alert is then told by itself"
                ) from None
    raise AssertionError  # the second turn returns or raises


def wait_of(receives: int, error: Exception) -> int:
    """Seconds that a message is hidden after it failed for the ``receives``-th time."""
    wait = min(FIRST_WAIT << min(receives - 1, 10), LONGEST_WAIT)
    asked = error.after if isinstance(error, TryLaterError) else 0
    return max(wait, min(int(asked) + 1 if asked else 0, MOST_PATIENCE))


def _given_back(message: Message, error: Exception) -> list[str]:
    wait = wait_of(message.receives, error)
    log("ERROR", "not-told-yet", {**message.where, "reason": _words(error), "again_in": wait})
    refused = [Measured("Refused", 1)] if isinstance(error, KeyRefusedError) else []
    publish(NAMESPACE, Measured("Failures", 1), *refused)
    # Without it the message is hidden for as long as the queue says, which is late and not lost.
    with suppress(ClientError, BotoCoreError):
        client("sqs").change_message_visibility(
            QueueUrl=os.environ["QUEUE_URL"], ReceiptHandle=message.receipt, VisibilityTimeout=wait
        )
    return [message.id]


def _given_up(message_id: str, body: str, error: Exception, where: Mapping[str, object]) -> list[str]:
    log("ERROR", "cannot-be-told", {**where, "reason": _words(error), "to": "the redrive queue"})
    try:
        client("sqs").send_message(
            QueueUrl=os.environ["REDRIVE_URL"],
            MessageBody=body,
            MessageAttributes={"Reason": {"DataType": "String", "StringValue": _words(error)}},
        )
    except (ClientError, BotoCoreError) as refused:
        log("ERROR", "not-put-into-the-redrive-queue", {**where, "reason": code_of(refused)})
        publish(NAMESPACE, Measured("Failures", 1))
        return [message_id]
    # The queue's own metrics tell of it a quarter of an hour late, when nothing has been in it for hours.
    publish(NAMESPACE, Measured("GivenUp", 1))
    return []


def _test(remaining: Callable[[], int]) -> None:
    """The self-test is not tried again: the next one is due in minutes, and the alarm is on what does not come."""
    if remaining() < ENOUGH_MILLISECONDS:
        log("WARN", "self-test-left-out", {"reason": "the alerts before it took too long"})
        return
    try:
        self_test()
    except Exception as error:  # a page in the same batch must not go with it
        log("ERROR", "self-test-failed", {"reason": _words(error)})


def _words(error: Exception) -> str:
    """What a log may hold of an error: our own words, or AWS's code, or a name."""
    return str(error) if isinstance(error, DeliveryError) else code_of(error)
