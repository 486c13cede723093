"""Alarms as they stand in CloudWatch: their state, what they tell whom, and what of it CloudWatch has run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ..alarm import AlarmState
from ..errors import CloudError
from .session import Cloud, asking

_KINDS = ["MetricAlarm", "CompositeAlarm"]
_PAGE = 100  # the most that DescribeAlarms tells at once


@dataclass(frozen=True, slots=True)
class DeployedAlarm:
    """One alarm.  ``since`` is when it entered its state; actions are ARNs; ``suppressor`` a name or ARN, or empty; ``rule``
    that of a composite alarm."""

    name: str
    description: str
    composite: bool
    state: AlarmState
    since: datetime
    reason: str
    actions_enabled: bool
    alarm_actions: tuple[str, ...]
    ok_actions: tuple[str, ...]
    suppressor: str = ""
    rule: str = ""

    @property
    def tells(self) -> bool:
        """Whether anybody hears of it."""
        return self.actions_enabled and bool(self.alarm_actions or self.ok_actions)


@dataclass(frozen=True, slots=True)
class ActionRun:
    """CloudWatch ran an action of an alarm, or failed to; ``data`` tells two runs of one second apart."""

    at: datetime
    succeeded: bool
    summary: str
    data: str = ""


def list_alarms(cloud: Cloud, prefix: str) -> tuple[DeployedAlarm, ...]:
    """The alarms whose names begin with ``prefix``, by name.  Raises CloudError."""
    with asking(f"list the alarms {prefix}…"):
        pages = cloud.client("cloudwatch").get_paginator("describe_alarms")
        found = [
            alarm
            for page in pages.paginate(AlarmNamePrefix=prefix, AlarmTypes=_KINDS, PaginationConfig={"PageSize": _PAGE})
            for alarm in _alarms(page)
        ]
    return tuple(sorted(found, key=lambda alarm: alarm.name))


def find_alarm(cloud: Cloud, name: str) -> DeployedAlarm | None:
    """The alarm of that name, or None.  Raises CloudError."""
    with asking(f"look at alarm {name}"):
        answer = cloud.client("cloudwatch").describe_alarms(AlarmNames=[name], AlarmTypes=_KINDS)
        return next(_alarms(answer), None)


def set_state(cloud: Cloud, name: str, state: AlarmState, reason: str) -> None:
    """Give an alarm a state until its next evaluation.

    A composite alarm keeps it until one of the alarms in its rule changes (CloudWatch API reference, SetAlarmState).
    Raises CloudError.
    """
    with asking(f"set alarm {name} to {state.value}"):
        cloud.client("cloudwatch").set_alarm_state(AlarmName=name, StateValue=state.value, StateReason=reason)


def actions_run(cloud: Cloud, name: str) -> tuple[ActionRun, ...]:
    """The newest actions CloudWatch has run for an alarm, at most a hundred, oldest first.  Raises CloudError."""
    with asking(f"read the history of alarm {name}"):
        items = cloud.client("cloudwatch").describe_alarm_history(
            AlarmName=name,
            AlarmTypes=_KINDS,
            HistoryItemType="Action",
            MaxRecords=_PAGE,
            ScanBy="TimestampDescending",
        )["AlarmHistoryItems"]
    runs = [
        ActionRun(
            item["Timestamp"].astimezone(UTC),
            item["HistorySummary"].startswith("Successfully"),
            item["HistorySummary"],
            item.get("HistoryData") or "",
        )
        for item in items
    ]
    return tuple(sorted(runs, key=lambda run: run.at))


def require_alarm(cloud: Cloud, name: str) -> DeployedAlarm:
    """The alarm of that name.  Raises CloudError when there is none."""
    alarm = find_alarm(cloud, name)
    if alarm is None:
        raise CloudError(f"there is no alarm {name} in {cloud.region}; deploy the alarms, or name another")
    return alarm


def _alarms(answer: Mapping[str, Any]) -> Iterator[DeployedAlarm]:
    for kind in ("MetricAlarms", "CompositeAlarms"):
        for item in answer.get(kind) or ():
            yield DeployedAlarm(
                name=item["AlarmName"],
                description=item.get("AlarmDescription") or "",
                composite=kind == "CompositeAlarms",
                state=AlarmState(item["StateValue"]),
                since=(item.get("StateTransitionedTimestamp") or item["StateUpdatedTimestamp"]).astimezone(UTC),
                reason=item.get("StateReason") or "",
                actions_enabled=bool(item.get("ActionsEnabled", True)),
                alarm_actions=tuple(item.get("AlarmActions") or ()),
                ok_actions=tuple(item.get("OKActions") or ()),
                suppressor=item.get("ActionsSuppressor") or "",
                rule=item.get("AlarmRule") or "",
            )
