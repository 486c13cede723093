"""DescribeAlarmHistory: the changes of state of many alarms, with as few requests as may be; and what time AWS has."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from ..alarm import AlarmState
from .metrics import StateChange
from .session import Cloud, asking

# API reference, DescribeAlarmHistory: the most records that one request gives.
_PAGE = 100
_KINDS = ("MetricAlarm", "CompositeAlarm")


@dataclass(frozen=True, slots=True)
class AlarmHistory:
    """Changes of state, oldest first, and how many requests they took."""

    changes: tuple[StateChange, ...]
    requests: int


def aws_time(cloud: Cloud) -> datetime | None:
    """The time that AWS has, to the second; None where its answer does not say.  Raises CloudError."""
    with asking("read the alarm history (DescribeAlarmHistory)"):
        answer = cloud.client("cloudwatch").describe_alarm_history(MaxRecords=1, ScanBy="TimestampDescending")
    date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    try:
        return parsedate_to_datetime(date).astimezone(UTC) if date else None
    except ValueError:
        return None


def read_alarm_history(cloud: Cloud, alarms: Collection[str], start: datetime, end: datetime) -> AlarmHistory:
    """The changes of state of ``alarms`` from ``start`` up to ``end``; CloudWatch keeps them for 30 days.

    There is no asking for a prefix.  One listing of all alarms of the account is read as long as it looks shorter than
    one request for each of ``alarms``, judged by how far its pages have come.  Raises CloudError.
    """
    wanted = set(alarms)
    found: dict[tuple[str, datetime], StateChange] = {}
    if not wanted or start >= end:
        return AlarmHistory((), 0)
    requests = 0
    reached = start
    for items, more in _pages(cloud, start, end):
        requests += 1
        _keep(items, wanted, start, end, found)
        if not more:
            return AlarmHistory(_sorted(found), requests)
        reached = max((item["Timestamp"].astimezone(UTC) for item in items), default=reached)
        covered, left = (reached - start).total_seconds(), (end - reached).total_seconds()
        if left * requests > len(wanted) * covered:
            break
    for name in sorted(wanted):
        for items, _ in _pages(cloud, reached, end, name):
            requests += 1
            _keep(items, wanted, start, end, found)
    return AlarmHistory(_sorted(found), requests)


def _pages(
    cloud: Cloud, start: datetime, end: datetime, name: str | None = None
) -> Iterator[tuple[list[Mapping[str, Any]], bool]]:
    """Each page of items, oldest first, and whether there are more."""
    request: dict[str, Any] = {
        "AlarmTypes": list(_KINDS),
        "HistoryItemType": "StateUpdate",
        "StartDate": start,
        "EndDate": end,
        "MaxRecords": _PAGE,
        "ScanBy": "TimestampAscending",
    }
    if name is not None:
        request["AlarmName"] = name
    while True:
        with asking("read the alarm history (DescribeAlarmHistory)"):
            page = cloud.client("cloudwatch").describe_alarm_history(**request)
        token = page.get("NextToken")
        yield page["AlarmHistoryItems"], bool(token)
        if not token:
            return
        request["NextToken"] = token


def _keep(
    items: list[Mapping[str, Any]],
    wanted: set[str],
    start: datetime,
    end: datetime,
    found: dict[tuple[str, datetime], StateChange],
) -> None:
    for item in items:
        at = item["Timestamp"].astimezone(UTC)
        if item["AlarmName"] in wanted and start <= at < end:
            change = _change(item, at)
            if change is not None:
                found[change.alarm, at] = change


def _change(item: Mapping[str, Any], at: datetime) -> StateChange | None:
    """None for an item that does not say which state the alarm went to."""
    try:
        data = json.loads(item.get("HistoryData") or "{}")
    except json.JSONDecodeError:
        return None
    after, before = data.get("newState") or {}, (data.get("oldState") or {}).get("stateValue")
    if after.get("stateValue") not in tuple(AlarmState):
        return None
    return StateChange(
        alarm=item["AlarmName"],
        at=at,
        before=AlarmState(before) if before in tuple(AlarmState) else None,
        after=AlarmState(after["stateValue"]),
        reason=after.get("stateReason") or "",
    )


def _sorted(found: Mapping[tuple[str, datetime], StateChange]) -> tuple[StateChange, ...]:
    return tuple(found[key] for key in sorted(found, key=lambda key: (key[1], key[0])))
