"""Alarm records: from what PutMetricAlarm stores to the `Alarm` the evaluator reads, and the requests that make them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ...alarm import (
    Actions,
    Alarm,
    Comparison,
    EvaluationWindow,
    Metric,
    MetricQuery,
    MetricStat,
    TreatMissingData,
    single,
)
from ...errors import SimulationError
from ...simulate.metric_alarm import check_alarm

_NOT_HERE = {
    "ThresholdMetricId": "anomaly detection",
    "EvaluationCriteria": "a PromQL query",
    "WarmUpConfiguration": "a warm-up",
}
_OF_ONE_METRIC = ("MetricName", "Namespace", "Statistic", "ExtendedStatistic", "Period", "Dimensions", "Unit")


def alarm_of(record: Mapping[str, Any]) -> Alarm:
    """The alarm a record of PutMetricAlarm's fields describes.  Raises SimulationError for what cannot be evaluated."""
    name = record.get("AlarmName") or ""
    for field, what in _NOT_HERE.items():
        if record.get(field):
            raise SimulationError(f"alarm {name}: an alarm with {what} cannot be evaluated here; leave {field} out")
    try:
        evaluation_periods = int(record["EvaluationPeriods"])
        wall_clock = (record.get("EvaluationWindow") or {}).get("WallClockWindow")
        alarm = Alarm(
            name=name,
            queries=_queries(record),
            comparison=Comparison(record["ComparisonOperator"]),
            threshold=float(record["Threshold"]),
            evaluation_periods=evaluation_periods,
            datapoints_to_alarm=int(record.get("DatapointsToAlarm") or evaluation_periods),
            treat_missing_data=_treatment(record),
            description=record.get("AlarmDescription") or "",
            actions=Actions(
                alarm=tuple(record.get("AlarmActions") or ()),
                ok=tuple(record.get("OKActions") or ()),
                insufficient_data=tuple(record.get("InsufficientDataActions") or ()),
                enabled=bool(record.get("ActionsEnabled", True)),
            ),
            evaluate_low_samples=record.get("EvaluateLowSampleCountPercentile") != "ignore",
            evaluation_window=EvaluationWindow.SLIDING if wall_clock is None else EvaluationWindow.WALL_CLOCK,
            timezone=(wall_clock or {}).get("Timezone"),
        )
        check_alarm(alarm)
    except KeyError as error:
        raise SimulationError(f"alarm {name}: {error.args[0]} is missing") from None
    except (TypeError, ValueError) as error:
        raise SimulationError(f"alarm {name}: {error}") from None
    return alarm


def queries_of(entries: Iterable[Mapping[str, Any]]) -> tuple[MetricQuery, ...]:
    """The queries of ``Metrics`` or ``MetricDataQueries``.  Raises KeyError, TypeError or ValueError."""
    queries = []
    for entry in entries:
        stat = entry.get("MetricStat")
        period = entry.get("Period")
        queries.append(
            MetricQuery(
                id=entry["Id"],
                stat=_stat(stat["Metric"], stat["Stat"], stat["Period"], stat.get("Unit")) if stat else None,
                expression=entry.get("Expression"),
                label=entry.get("Label"),
                return_data=entry.get("ReturnData", True) is not False,
                period=None if period is None else int(period),
            )
        )
    return tuple(queries)


def describe(record: dict[str, Any], request: Mapping[str, Any]) -> None:
    """Complete a stored record with the fields of the request that ministack does not keep, as DescribeAlarms shows it."""
    for field in ("EvaluateLowSampleCountPercentile", "EvaluationWindow"):
        if request.get(field) is not None:
            record[field] = request[field]
    if "AlarmName" in request and not request.get("TreatMissingData"):
        record.pop("TreatMissingData", None)
    if request.get("Metrics"):
        record["Metrics"] = [_with_return_data(entry) for entry in request["Metrics"]]
        for field in _OF_ONE_METRIC:
            record.pop(field, None)
        record["Dimensions"] = []
    elif request.get("ExtendedStatistic"):
        record["Statistic"] = None
    record.setdefault("StateTransitionedTimestamp", record["StateUpdatedTimestamp"])


def request_of(properties: Mapping[str, Any], name: str) -> dict[str, Any]:
    """PutMetricAlarm's request for the properties of an AWS::CloudWatch::Alarm: numbers and truths out of texts."""
    request: dict[str, Any] = {key: value for key, value in properties.items() if value not in (None, "")}
    request["AlarmName"] = name
    for field in ("Period", "EvaluationPeriods", "DatapointsToAlarm"):
        if field in request:
            request[field] = int(request[field])
    if "Threshold" in request:
        request["Threshold"] = float(request["Threshold"])
    if "ActionsEnabled" in request:
        request["ActionsEnabled"] = truth(request["ActionsEnabled"])
    for field in ("AlarmActions", "OKActions", "InsufficientDataActions"):
        request[field] = list(request.get(field) or ())
    if "Metrics" in request:
        request["Metrics"] = [_typed_query(entry) for entry in request["Metrics"]]
    request.pop("Tags", None)
    return request


def truth(value: Any) -> bool:
    """A boolean of a template, where it may be text."""
    return value if isinstance(value, bool) else str(value).lower() == "true"


def _queries(record: Mapping[str, Any]) -> tuple[MetricQuery, ...]:
    if record.get("Metrics"):
        queries = queries_of(record["Metrics"])
        if sum(query.return_data for query in queries) != 1:
            raise ValueError("exactly one entry of Metrics has ReturnData true")
        return queries
    statistic = record.get("ExtendedStatistic") or record.get("Statistic")
    if not statistic:
        raise ValueError("Statistic or ExtendedStatistic is needed")
    metric = {
        "Namespace": record["Namespace"],
        "MetricName": record["MetricName"],
        "Dimensions": record.get("Dimensions") or (),
    }
    return single(_stat(metric, statistic, record["Period"], record.get("Unit")))


def _treatment(record: Mapping[str, Any]) -> TreatMissingData:
    if given := record.get("TreatMissingData"):
        return TreatMissingData(given)
    # User guide, "Configuring how CloudWatch alarms treat missing data": DynamoDB's default is another one.
    entries = record.get("Metrics") or [{"MetricStat": {"Metric": record}}]
    spaces = {entry["MetricStat"]["Metric"]["Namespace"] for entry in entries if entry.get("MetricStat")}
    return TreatMissingData.IGNORE if spaces == {"AWS/DynamoDB"} else TreatMissingData.MISSING


def _stat(metric: Mapping[str, Any], statistic: str, period: Any, unit: str | None) -> MetricStat:
    dimensions = tuple((each["Name"], each["Value"]) for each in metric.get("Dimensions") or ())
    return MetricStat(Metric(metric["Namespace"], metric["MetricName"], dimensions), statistic, int(period), unit)


def _with_return_data(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {**entry, "ReturnData": entry.get("ReturnData", True) is not False}


def _typed_query(entry: Mapping[str, Any]) -> dict[str, Any]:
    query = dict(entry)
    if "ReturnData" in query:
        query["ReturnData"] = truth(query["ReturnData"])
    if "Period" in query:
        query["Period"] = int(query["Period"])
    if "MetricStat" in query:
        query["MetricStat"] = {**query["MetricStat"], "Period": int(query["MetricStat"]["Period"])}
    return query
