"""Alarm actions: CloudWatch publishes to the topics of an alarm, and writes into its history what became of it.

With ``iam`` the topic's policy must let ``cloudwatch.amazonaws.com`` publish for the alarm (``aws:SourceArn``,
``aws:SourceAccount``), and the policy of its key must let it use the key; else the action fails and stays in the
history.  Actions that are not SNS topics fail as well: nothing here could carry them out.

The history's fields and the words of failures are those that AWS prints (AWS re:Post, "Why didn't I receive an SNS
notification for my CloudWatch alarm trigger?"); ``muteWindowEndTimestamp`` exists at AWS, but AWS prints no example of a
muted action, so its summary is ours.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from ...simulate.muting import Muted
from . import notifications
from .base import here, service
from .parts import Parts
from .service_keys import service_may_use

CLOUDWATCH = "cloudwatch.amazonaws.com"
_ACTIONS = {"ALARM": "AlarmActions", "OK": "OKActions", "INSUFFICIENT_DATA": "InsufficientDataActions"}


class AlarmActions:
    """Runs actions, in the account and region in scope."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def run(self, record: Mapping[str, Any], old_state: str, changed_at: float, children: list[dict[str, Any]]) -> None:
        """Carry out the actions of the state an alarm is in; ``changed_at`` is when it entered it."""
        account, region = here()
        text = notifications.message(
            record, account=account, region=region, old_state=old_state, changed_at=changed_at, children=children
        )
        for action in actions_of(record):
            problem = self._problem(record, action)
            if problem is None:
                subject = notifications.subject(record, region)
                service("sns")._fanout(action, str(uuid.uuid4()), text, subject)
                summary = f"Successfully executed action {action}"
            else:
                summary = f'Failed to execute action {action}. Received error: "{problem}"'
            data = {
                "actionState": "Succeeded" if problem is None else "Failed",
                "stateUpdateTimestamp": int(changed_at * 1000),
                "notificationResource": action,
                "publishedMessage": json.dumps({"default": text}) if problem is None else None,
                "error": problem,
            }
            write_history(record, "Action", summary, self._parts.clock.time(), data)

    def note_muted(self, record: Mapping[str, Any], changed_at: float, muted: Muted) -> None:
        """Write that a mute holds the actions back."""
        for action in actions_of(record):
            data = {
                "actionState": "Muted",
                "stateUpdateTimestamp": int(changed_at * 1000),
                "notificationResource": action,
                "publishedMessage": None,
                "error": None,
                "muteWindowEndTimestamp": int(muted.end.timestamp() * 1000),
            }
            summary = f"Action {action} is muted by alarm mute rule {muted.rule}"
            write_history(record, "Action", summary, self._parts.clock.time(), data)

    def _problem(self, record: Mapping[str, Any], action: str) -> str | None:
        sns = service("sns")
        topic = service("cloudwatch")._is_sns_action_arn(action) and sns._topic_by_arn_any_scope(action)
        if not topic:
            is_topic = action.startswith("arn:aws:sns:")
            return f"Topic does not exist: {action}" if is_topic else f"{action} cannot be carried out here"
        account, _ = here()
        arn = record["AlarmArn"]
        if not sns.topic_policy_allows(action, CLOUDWATCH, arn, account):
            return f"Resource: {arn} is not authorized to perform: SNS:Publish on resource: {action}"
        if not service_may_use(self._parts, topic["attributes"].get("KmsMasterKeyId"), CLOUDWATCH, arn, account):
            return (
                "null (Service: AWSKMS; Status Code: 400; Error Code: AccessDeniedException; "
                f"Request ID: {uuid.uuid4()})"
            )
        return None


def actions_of(record: Mapping[str, Any]) -> tuple[str, ...]:
    """The actions of the state an alarm is in."""
    return tuple(record.get(_ACTIONS[record["StateValue"]]) or ())


def write_history(record: Mapping[str, Any], kind: str, summary: str, at: float, data: Mapping[str, Any]) -> None:
    """Add an item to an alarm's history; ``at`` in seconds since 1970."""
    service("cloudwatch")._history_entries().append(
        {
            "AlarmName": record["AlarmName"],
            "AlarmType": "CompositeAlarm" if "AlarmRule" in record else "MetricAlarm",
            "Timestamp": datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "HistoryItemType": kind,
            "HistorySummary": summary,
            "HistoryData": json.dumps(data),
        }
    )
