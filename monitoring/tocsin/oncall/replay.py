"""Delivers what lies in the redrive queue: each notification again to its endpoint, in order of time.

A message goes from the queue only after its endpoint has taken it, and an ALARM that is over meanwhile only after its end
has been taken, too.  So a run that is cut off, or a second one, delivers twice at worst; the tool folds that by alias.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from ..alarm import AlarmState
from ..cloud.alarm_states import find_alarm
from ..cloud.redrive import HIDDEN_SECONDS, Backlog, Waiting, backlog, delete, give_back, keep_hidden, read_queue
from ..cloud.session import Cloud
from ..errors import PagingError
from .web import Answer

#: Statuses that are about one message; every other failure is the endpoint's, and the rest would fare no better.
_ABOUT_THE_MESSAGE = (400, 413, 415, 422)


class Fate(StrEnum):
    """What became of a message."""

    DELIVERED = "delivered"
    ENDED = "delivered with its end"  # the alarm is over
    OVERTAKEN = "not told, for the alarm is in ALARM again"
    KEPT = "kept"


@dataclass(frozen=True, slots=True)
class Notification:
    """What a queued message tells.  ``alarm`` and ``state`` are empty where it is not of an alarm."""

    message: Waiting
    envelope: Mapping[str, Any]
    topic: str
    sent_at: datetime
    alarm: str = ""
    state: str = ""


@dataclass(frozen=True, slots=True)
class Replayed:
    """One message and what became of it; ``reason`` says why it was kept."""

    fate: Fate
    what: str
    number: int
    of: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Replay:
    """What a run did: how many were delivered, which were kept, and what the queue holds now."""

    delivered: int
    kept: tuple[Replayed, ...]
    remaining: Backlog


Send = Callable[[str, Mapping[str, Any]], Answer]
"""Delivers a notification of a topic (its ARN) to where that topic's go; see ``senders.py``."""

Close = Callable[[str], None]
"""Closes the alert of an alias by the tool's own API; raises PagingError."""


def replay(
    cloud: Cloud,
    queue: str,
    send: Send,
    *,
    close: Close | None = None,
    progress: Callable[[Replayed], None] = lambda one: None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Replay:
    """Deliver what ``queue`` (its address) holds.

    ``close`` is used where an endpoint refuses an end that SNS has not signed.  Raises CloudError.
    """
    messages = sorted(map(_read, read_queue(cloud, queue)), key=lambda one: (one.sent_at, one.message.id))
    run = _Run(cloud, queue, send, close, now, tuple(messages))
    try:
        for number, _ in enumerate(messages):
            done = run.deliver(number)
            progress(done)
    finally:
        give_back(cloud, queue, run.kept_messages)
    return Replay(run.delivered, tuple(run.kept), backlog(cloud, queue))


class _Run:
    """One run over the messages, in their order."""

    def __init__(
        self,
        cloud: Cloud,
        queue: str,
        send: Send,
        close: Close | None,
        now: Callable[[], datetime],
        messages: Sequence[Notification],
    ) -> None:
        self._cloud, self._queue, self._send_to, self._close = cloud, queue, send, close
        self._now, self._messages = now, messages
        self._hidden_at = now()
        self._failing: dict[str, str] = {}  # topic → why nothing more is tried
        self._done: set[int] = set()
        self.delivered = 0
        self.kept: list[Replayed] = []

    @property
    def kept_messages(self) -> tuple[Waiting, ...]:
        """The messages that are still in the queue."""
        return tuple(one.message for number, one in enumerate(self._messages) if number not in self._done)

    def deliver(self, number: int) -> Replayed:
        """One message.  Raises CloudError."""
        one = self._messages[number]
        self._stay_hidden()
        what = f"{one.alarm} {one.state}" if one.alarm else f"message {one.message.id}"
        fate, reason = self._try(number, one)
        result = Replayed(fate, what, number + 1, len(self._messages), reason)
        if fate is Fate.KEPT:
            self.kept.append(result)
            return result
        delete(self._cloud, self._queue, one.message)
        self._done.add(number)
        self.delivered += 1
        return result

    def _try(self, number: int, one: Notification) -> tuple[Fate, str]:
        if not one.topic:
            return Fate.KEPT, "it is no notification of SNS"
        if one.topic in self._failing:
            return Fate.KEPT, self._failing[one.topic]
        last = not any(later.alarm == one.alarm and later.topic == one.topic for later in self._messages[number + 1 :])
        if last and one.state == AlarmState.OK and self._rings(one):
            return Fate.OVERTAKEN, ""
        refused = self._send(one, one.envelope)
        if refused:
            return Fate.KEPT, refused
        if one.state == AlarmState.OK and last and self._rings(one):
            return self._tell_again(one)
        return self._end_if_over(one) if one.state == AlarmState.ALARM and last else (Fate.DELIVERED, "")

    def _rings(self, one: Notification) -> bool:
        """Whether the alarm is in ALARM now: that was told directly, and an end from before would close its alert."""
        present = find_alarm(self._cloud, one.alarm)
        return present is not None and present.state is AlarmState.ALARM

    def _tell_again(self, one: Notification) -> tuple[Fate, str]:
        """The alarm went off while its end was on the way."""
        refused = self._send(one, begun(one.envelope, self._now()))
        return (Fate.KEPT, refused) if refused else (Fate.DELIVERED, "")

    def _end_if_over(self, one: Notification) -> tuple[Fate, str]:
        """An alarm that is over was told to be so while its ALARM lay here: the alert would stay open for ever."""
        present = find_alarm(self._cloud, one.alarm)
        if present is not None and present.state is not AlarmState.OK:
            return Fate.DELIVERED, ""
        since = self._now() if present is None else present.since
        reason = (
            "the alarm is gone"
            if present is None
            else f"the alarm left ALARM at {since.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        )
        refused = self._send(one, ended(one.envelope, since, reason))
        if refused:
            try:
                if self._close is None:
                    return Fate.KEPT, f"its alert was opened, its end refused ({refused}); close it in the tool"
                self._close(one.alarm)
            except PagingError as error:
                return Fate.KEPT, f"its alert was opened, its end refused; {error}"
        # An alarm that went off again just now was told by SNS before this end: tell it once more.
        again = find_alarm(self._cloud, one.alarm)
        if again is not None and again.state is AlarmState.ALARM:
            refused = self._send(one, one.envelope)
            return (Fate.KEPT, refused) if refused else (Fate.DELIVERED, "")
        return Fate.ENDED, ""

    def _send(self, one: Notification, envelope: Mapping[str, Any]) -> str:
        """Why it was not taken; empty when it was."""
        answer = self._send_to(one.topic, envelope)
        if answer.taken:
            return ""
        if answer.status not in _ABOUT_THE_MESSAGE:
            self._failing[one.topic] = answer.problem
        return answer.problem

    def _stay_hidden(self) -> None:
        """Endpoints may be slow and messages many: nobody else is to get what is still to come."""
        if (self._now() - self._hidden_at).total_seconds() > HIDDEN_SECONDS / 2:
            keep_hidden(self._cloud, self._queue, self.kept_messages)
            self._hidden_at = self._now()


def ended(envelope: Mapping[str, Any], at: datetime, reason: str) -> Mapping[str, Any]:
    """The notification that an alarm's ALARM is over, in the form CloudWatch gives it; SNS has not signed it."""
    return _changed(envelope, AlarmState.ALARM, AlarmState.OK, at, reason, "end")


def begun(envelope: Mapping[str, Any], at: datetime) -> Mapping[str, Any]:
    """The notification that an alarm is in ALARM again; SNS has not signed it."""
    return _changed(envelope, AlarmState.OK, AlarmState.ALARM, at, "it went off again while its end was told", "again")


def _changed(
    envelope: Mapping[str, Any], old: AlarmState, new: AlarmState, at: datetime, reason: str, suffix: str
) -> Mapping[str, Any]:
    told = json.loads(envelope["Message"])
    changed = {
        **told,
        "OldStateValue": old.value,
        "NewStateValue": new.value,
        "NewStateReason": f"Told late by `tocsin oncall replay`: {reason}.",
        "StateChangeTime": at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "+0000",
    }
    told_by = {key: value for key, value in envelope.items() if not key.startswith("Sign")}
    subject = re.sub(rf"^{old.value}:", f"{new.value}:", str(envelope.get("Subject", "")))
    identity = f"{envelope.get('MessageId', '')}-{suffix}"
    return {**told_by, "Subject": subject, "MessageId": identity, "Message": json.dumps(changed)}


def _read(message: Waiting) -> Notification:
    nothing = Notification(message, {}, "", message.queued_at)
    try:
        envelope = json.loads(message.body)
        if envelope["Type"] != "Notification":
            return nothing
        topic, sent = str(envelope["TopicArn"]), datetime.fromisoformat(str(envelope["Timestamp"]))
        if sent.tzinfo is None:
            sent = sent.replace(tzinfo=UTC)
        text = str(envelope["Message"])
    except (KeyError, TypeError, ValueError):
        return nothing
    try:
        told = json.loads(text)
        return Notification(message, envelope, topic, sent, str(told["AlarmName"]), str(told["NewStateValue"]))
    except (KeyError, TypeError, ValueError):
        return Notification(message, envelope, topic, sent)
