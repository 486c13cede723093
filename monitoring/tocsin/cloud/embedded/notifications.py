"""Notifications: the JSON that CloudWatch sends to SNS when an alarm changes state.

Fields: CloudWatch user guide, page "Notifying users on alarm changes", and the messages AWS prints there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib import import_module
from typing import Any


def message(
    record: Mapping[str, Any],
    *,
    account: str,
    region: str,
    old_state: str,
    changed_at: float,
    children: list[dict[str, Any]] | None = None,
) -> str:
    """The message for an alarm's present state; ``children`` are those that made a composite alarm change."""
    body: dict[str, Any] = {
        "AlarmName": record["AlarmName"],
        "AlarmDescription": record.get("AlarmDescription") or None,
        "AWSAccountId": account,
        "AlarmConfigurationUpdatedTimestamp": moment(record["AlarmConfigurationUpdatedTimestamp"]),
        "NewStateValue": record["StateValue"],
        "NewStateReason": record["StateReason"],
        "StateChangeTime": moment(changed_at),
        "Region": region_name(region),
        "AlarmArn": record["AlarmArn"],
        "OldStateValue": old_state,
        "OKActions": list(record.get("OKActions") or ()),
        "AlarmActions": list(record.get("AlarmActions") or ()),
        "InsufficientDataActions": list(record.get("InsufficientDataActions") or ()),
    }
    if "AlarmRule" in record:
        body["AlarmRule"] = record["AlarmRule"]
        body["TriggeringChildren"] = children or []
    else:
        body["Trigger"] = _trigger(record)
    return json.dumps(body)


def subject(record: Mapping[str, Any], region: str) -> str:
    """The subject line, at most 100 characters as SNS allows."""
    return f'{record["StateValue"]}: "{record["AlarmName"]}" in {region_name(region)}'[:100]


def moment(seconds: float) -> str:
    """``2026-11-21T08:00:00.123+0000``: how CloudWatch writes a moment into a message."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "+0000")


@cache
def region_name(region: str) -> str:
    """``EU (Ireland)`` for ``eu-west-1``; the code itself for a region botocore does not know."""
    session: Any = import_module("botocore.session")
    partitions = session.get_session().get_data("endpoints")["partitions"]
    for partition in partitions:
        if known := partition["regions"].get(region):
            return str(known["description"]).replace("Europe (", "EU (")
    return region


def _trigger(record: Mapping[str, Any]) -> dict[str, Any]:
    common = {
        "Period": record.get("Period"),
        "EvaluationPeriods": record["EvaluationPeriods"],
        "DatapointsToAlarm": record.get("DatapointsToAlarm") or record["EvaluationPeriods"],
        "ComparisonOperator": record["ComparisonOperator"],
        "Threshold": record["Threshold"],
        "TreatMissingData": record.get("TreatMissingData") or "missing",
        "EvaluateLowSampleCountPercentile": record.get("EvaluateLowSampleCountPercentile") or "",
    }
    if record.get("Metrics"):
        del common["Period"]
        return {**common, "Metrics": [_query(entry) for entry in record["Metrics"]]}
    extended = record.get("ExtendedStatistic")
    return {
        "MetricName": record["MetricName"],
        "Namespace": record["Namespace"],
        "StatisticType": "ExtendedStatistic" if extended else "Statistic",
        **({"ExtendedStatistic": extended} if extended else {"Statistic": _old_name(record["Statistic"])}),
        "Unit": record.get("Unit"),
        "Dimensions": _dimensions(record.get("Dimensions") or ()),
        **common,
    }


def _old_name(statistic: str) -> str:
    """``SAMPLE_COUNT`` for ``SampleCount``: the messages keep the names of the first API."""
    return "SAMPLE_COUNT" if statistic == "SampleCount" else statistic.upper()


def _dimensions(dimensions: Any) -> list[dict[str, str]]:
    return [{"value": each["Value"], "name": each["Name"]} for each in dimensions]


def _query(entry: Mapping[str, Any]) -> dict[str, Any]:
    query = dict(entry)
    if stat := query.get("MetricStat"):
        metric = stat["Metric"]
        query["MetricStat"] = {
            **stat,
            "Metric": {**metric, "Dimensions": _dimensions(metric.get("Dimensions") or ())},
        }
    return query
