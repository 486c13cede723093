"""Metric values, alarm states and their history, as CloudWatch holds them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ..alarm import AlarmState, MetricQuery
from ..errors import CloudError
from .session import Cloud, asking

# Amazon CloudWatch API reference, GetMetricData: at most 500 queries in a request.
_MAX_QUERIES = 500

Datapoints = tuple[tuple[datetime, float], ...]


@dataclass(frozen=True, slots=True)
class AlarmReading:
    """An alarm's present state.  ``updated`` is when it entered it (UTC), ``composite`` whether it watches others."""

    name: str
    arn: str
    state: AlarmState
    reason: str
    updated: datetime
    composite: bool
    actions_enabled: bool
    actions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StateChange:
    """One entry of an alarm's history: it went from ``before`` (None where CloudWatch does not say) to ``after``.

    ``data`` is CloudWatch's reason data, such as the datapoints that were looked at.
    """

    alarm: str
    at: datetime
    before: AlarmState | None
    after: AlarmState
    reason: str
    data: Mapping[str, Any] = field(default_factory=dict)


def read_metrics(
    cloud: Cloud, queries: Sequence[MetricQuery], start: datetime, end: datetime
) -> Mapping[str, Datapoints]:
    """Query id → datapoints, oldest first, of every query with ``return_data``; ``start`` is included, ``end`` is not.

    Raises CloudError, also when CloudWatch could not work one of them out.
    """
    requested = [_query(query) for query in queries]
    if len(requested) > _MAX_QUERIES:
        raise CloudError(f"cannot read {len(requested)} metrics at once: CloudWatch takes {_MAX_QUERIES}; ask in parts")
    found: dict[str, list[tuple[datetime, float]]] = {query.id: [] for query in queries if query.return_data}
    with asking("read metrics"):
        pages = cloud.client("cloudwatch").get_paginator("get_metric_data")
        for page in pages.paginate(
            MetricDataQueries=requested, StartTime=start, EndTime=end, ScanBy="TimestampAscending"
        ):
            for result in page["MetricDataResults"]:
                if result.get("StatusCode") in ("InternalError", "Forbidden"):
                    message = "; ".join(item.get("Value", "") for item in result.get("Messages") or ())
                    raise CloudError(f"cannot read metric {result['Id']}: {message or result['StatusCode']}")
                values = zip(result["Timestamps"], result["Values"], strict=True)
                found.setdefault(result["Id"], []).extend((_utc(when), float(value)) for when, value in values)
    return {name: tuple(sorted(points)) for name, points in sorted(found.items())}


def read_alarms(cloud: Cloud, prefix: str = "") -> tuple[AlarmReading, ...]:
    """Every alarm whose name begins with ``prefix``, composites too, by name.  Raises CloudError."""
    found = []
    request: dict[str, Any] = {"AlarmTypes": ["MetricAlarm", "CompositeAlarm"]}
    if prefix:
        request["AlarmNamePrefix"] = prefix
    with asking("read alarm states"):
        for page in cloud.client("cloudwatch").get_paginator("describe_alarms").paginate(**request):
            found += [_reading(item, composite=False) for item in page.get("MetricAlarms") or ()]
            found += [_reading(item, composite=True) for item in page.get("CompositeAlarms") or ()]
    return tuple(sorted(found, key=lambda alarm: alarm.name))


def read_history(cloud: Cloud, alarm: str, start: datetime, end: datetime) -> tuple[StateChange, ...]:
    """The state changes of one alarm, oldest first; CloudWatch keeps them for 30 days.  Raises CloudError."""
    with asking(f"read the history of alarm {alarm}"):
        pages = cloud.client("cloudwatch").get_paginator("describe_alarm_history")
        items = [
            item
            for page in pages.paginate(
                AlarmName=alarm,
                AlarmTypes=["MetricAlarm", "CompositeAlarm"],
                HistoryItemType="StateUpdate",
                StartDate=start,
                EndDate=end,
                ScanBy="TimestampAscending",
            )
            for item in page["AlarmHistoryItems"]
        ]
    return tuple(sorted(_state_changes(items), key=lambda change: change.at))


def _query(query: MetricQuery) -> dict[str, Any]:
    request: dict[str, Any] = {"Id": query.id, "ReturnData": query.return_data}
    if query.label is not None:
        request["Label"] = query.label
    if query.expression is not None:
        request["Expression"] = query.expression
    if query.period is not None:
        request["Period"] = query.period
    if query.stat is not None:
        metric = query.stat.metric
        request["MetricStat"] = {
            "Metric": {
                "Namespace": metric.namespace,
                "MetricName": metric.name,
                "Dimensions": [{"Name": name, "Value": value} for name, value in metric.dimensions],
            },
            "Period": query.stat.period,
            "Stat": query.stat.statistic,
            **({"Unit": query.stat.unit} if query.stat.unit else {}),
        }
    return request


def _reading(item: Mapping[str, Any], *, composite: bool) -> AlarmReading:
    return AlarmReading(
        name=item["AlarmName"],
        arn=item["AlarmArn"],
        state=AlarmState(item["StateValue"]),
        reason=item.get("StateReason") or "",
        updated=_utc(item.get("StateTransitionedTimestamp") or item["StateUpdatedTimestamp"]),
        composite=composite,
        actions_enabled=bool(item.get("ActionsEnabled", True)),
        actions=tuple(item.get("AlarmActions") or ()),
    )


def _state_changes(items: Sequence[Mapping[str, Any]]) -> Iterator[StateChange]:
    for item in items:
        try:
            data = json.loads(item.get("HistoryData") or "{}")
        except json.JSONDecodeError:
            continue  # nothing can be said of a change without its states
        after = data.get("newState") or {}
        before = (data.get("oldState") or {}).get("stateValue")
        if after.get("stateValue") not in tuple(AlarmState):
            continue
        yield StateChange(
            alarm=item["AlarmName"],
            at=_utc(item["Timestamp"]),
            before=AlarmState(before) if before in tuple(AlarmState) else None,
            after=AlarmState(after["stateValue"]),
            reason=after.get("stateReason") or "",
            data=after.get("stateReasonData") or {},
        )


def _utc(when: datetime) -> datetime:
    return when.astimezone(UTC)
